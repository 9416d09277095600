"""Networks trained with MMSegmentation, 1.x and 0.x: a Python config and a .pth, read without either running."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.files import digest
from segship.models.multimodal import MultimodalEncoderDecoder
from segship.networks.bounds import TooLargeError
from segship.networks.wrapped import WrappedNetwork
from segship.reading.checkpoint import read_checkpoint
from segship.reading.configs.config import read_config
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import Framework, Loaded, require_checkpoint
from segship.sources.mmseg.build import build_network
from segship.sources.mmseg.channels import MixedNetwork
from segship.sources.mmseg.classes import Places
from segship.sources.mmseg.foreign import build_foreign
from segship.sources.mmseg.open_vocabulary import name_classes
from segship.sources.mmseg.provenance import find_provenance
from segship.sources.mmseg.spec import build_spec
from segship.sources.mmseg.tested import locate_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import nn

    from segship.core.files import FileDigest
    from segship.networks.network import Network
    from segship.reading.checkpoint import Checkpoint
    from segship.sources import LoadRequest

__all__ = ["FRAMEWORK", "load", "load_network", "recognises"]

_MAXIMUM_JSON = 2**20


def recognises(path: Path) -> bool:
    """Return whether the config at ``path`` looks like one of MMSegmentation's."""
    if path.suffix == ".py":
        return path.is_file()
    if path.suffix != ".json" or not path.is_file() or path.stat().st_size > _MAXIMUM_JSON:
        return False
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and (isinstance(values.get("model"), dict) or "_base_" in values)


def load_network(request: LoadRequest) -> Network:
    """Read the network alone; see `segship.sources.load_network`."""
    values = read_config(request.path, request.options).values
    weights = _weights(request)
    with _naming(request.path):
        network = _build(values, request, weights)
    if weights is not None:
        load_strict(_keys(network), weights.state, what=str(request.checkpoint))
    if isinstance(network, MultimodalEncoderDecoder):  # which is there without the names of its classes, too
        with contextlib.suppress(InputError):
            _name_classes(network, values, request)
    return network


def _name_classes(network: Network, values: Mapping[str, Any], request: LoadRequest) -> dict[str, FileDigest]:
    """Give a network that compares masks with names what it compares them with; the files that this takes."""
    if not isinstance(network, MultimodalEncoderDecoder):
        return {}
    files = [file for file in (request.path, request.checkpoint) if file is not None]
    with _naming(request.path):
        return name_classes(network, values, [file.parent for file in files])


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let what is wrong with a config be told with its name."""
    try:
        yield
    except (ConfigError, UnsupportedError) as error:
        raise type(error)(f"{path}: {error}") from None


def _weights(request: LoadRequest) -> Checkpoint | None:
    return None if request.checkpoint is None else read_checkpoint(request.checkpoint, trust=request.trust)


def _build(values: Mapping[str, Any], request: LoadRequest, weights: Checkpoint | None) -> Network:
    """Our network of the config; where it names modules of the user's own and is trusted, the framework's."""

    def check(network: Network) -> None:
        if weights is None:
            require_checkpoint(request, f"after {request.path.name} comes its checkpoint, a .pth file")
        else:
            require_same_keys(network, weights.state, what=str(request.checkpoint))

    try:
        return build_network(values.get("model"), with_auxiliary=request.with_auxiliary, check=check)
    except TooLargeError:
        raise
    except UnsupportedError as error:
        if not request.trust:
            told = str(error) if str(error).endswith((".", "?")) else f"{error}."
            raise UnsupportedError(
                f"{told} If it is a module of your own, --trust builds it with the MMSegmentation that is installed "
                "beside (your code runs)"
            ) from None
        return build_foreign(values)


def _keys(network: Network) -> nn.Module:
    """The module whose keys are the framework's."""
    keys: nn.Module = network.get_submodule("module.model") if isinstance(network, WrappedNetwork) else network
    return keys


def load(request: LoadRequest) -> Loaded:
    """Read the network and what its inputs and outputs mean; see `segship.sources.load`."""
    read = read_config(request.path, request.options)
    weights = _weights(request)
    with _naming(request.path):
        network = _build(read.values, request, weights)
    meta = weights.meta if weights else {}
    places = Places(
        read.path.name,
        request.checkpoint.name if request.checkpoint else "the checkpoint",
        locate_dataset(read.values)[0],
        read.path.parent,
    )
    with _naming(request.path):
        contract = build_spec(read.values, network, meta, ignore_unknown=request.ignore_unknown, places=places)
    provenance = find_provenance(read.path.name, read.values, network, contract)
    provenance = provenance.model_copy(update={"random_weights": weights is None})
    origin = {read.path.name: digest(read.path)}
    denormals = 0
    if weights is not None:
        denormals = load_strict(_keys(network), weights.state, what=str(request.checkpoint))
        origin[weights.path.name] = weights.digest
    origin |= _name_classes(network, read.values, request)
    if contract.mix is not None:
        network = MixedNetwork(network, contract.mix)
    return Loaded(contract.spec, network, contract.notes, origin, denormals, provenance=provenance, tta=contract.tta)


FRAMEWORK = Framework(
    "MMSegmentation",
    "a .py file (or .json) with model = dict(type='EncoderDecoder', …)",
    recognises,
    load,
    load_network,  # networks are there before their test pipeline is understood
)
