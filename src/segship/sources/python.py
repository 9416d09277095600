"""Any torch module: as it is from Python, made by a function that the command line names, or a .pt2 program."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segship.core.artifacts import TensorInfo
from segship.core.errors import ConfigError, SegshipError, UnsafeFileError, UnsupportedError, one_line
from segship.core.files import digest
from segship.core.plan import METADATA
from segship.core.spec import SizeRule
from segship.networks.arrangement import Arrangement
from segship.networks.network import Network
from segship.networks.wrapped import WrappedNetwork, scores_among_others, scores_of
from segship.reading.checkpoint import read_checkpoint
from segship.reading.description import read_description
from segship.reading.graph_description import LocatedDescription, find_description
from segship.reading.ports import fixed, only_image, sizes_of
from segship.reading.returned import Findings, find_returned, probe_images
from segship.reading.weights import flush_denormals, load_strict
from segship.sources import Framework, Loaded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.files import FileDigest
    from segship.core.spec import ModelSpec
    from segship.reading.description import Description
    from segship.reading.normalization import Preset
    from segship.sources import DescriptionLike, LoadRequest, Options

__all__ = ["FRAMEWORK", "load", "load_module", "recognises"]

_LABELS, _IMAGE = 3, 4  # dimensions of (N, H, W) and (N, C, H, W)
_LAST = "The network takes its image channels last, (N, H, W, channels): a transpose was put before it."


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a file called ``.pt2``; a function is always named."""
    return path.suffix == ".pt2" and path.is_file()


def load(request: LoadRequest) -> Loaded:
    """Read the module that ``request.entry`` makes, or that lies in a file, with what the description says of it.

    The function takes no argument. It returns the module, or the module and its description (a mapping or ModelSpec).
    """
    if not request.entry:
        return _load_program(request)
    if not request.trust:
        raise UnsafeFileError(
            f"making the network runs the function {request.entry}: add --trust if you wrote it, or read it"
        )
    if isinstance(request.description, Path) and not request.description.is_file():
        raise ConfigError(f"{request.description} is no file: expected what the network expects and means, in YAML")
    made = _call(request.entry)
    module, description = made if isinstance(made, tuple) and len(made) == 2 else (made, None)  # noqa: PLR2004
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{request.entry} returns a {type(module).__name__}, expected a torch.nn.Module")
    origin: dict[str, FileDigest] = {}
    if isinstance(request.description, Path):
        origin[request.description.name] = digest(request.description)
    if request.checkpoint is not None:
        weights = read_checkpoint(request.checkpoint, trust=request.trust)
        load_strict(module, weights.state, what=str(request.checkpoint))
        origin[weights.path.name] = weights.digest
    said = description if request.description is None else request.description
    return load_module(module, said, options=request.options, origin=origin, normalize=request.normalize)


def _load_program(request: LoadRequest) -> Loaded:
    """A file of ``torch.export.save``: its description is the one named, ``NAME.yaml`` beside it, or what it notes."""
    path = request.path
    if not recognises(path):
        raise ConfigError("no function is named: give --source python:package.module:function, or a .pt2 file")
    if not request.trust:
        raise UnsafeFileError(f"{path} may hold pickles, which torch runs when it opens it: add --trust if it is yours")
    noted = {METADATA: ""}
    try:
        program = torch.export.load(str(path), extra_files=noted)
    except Exception as error:
        raise ConfigError(
            f"{path} is no program of torch.export (a compiled one holds no graph): {one_line(error)}"
        ) from error
    found = find_description(request.description, path, noted) or LocatedDescription(None)
    origin = {file.name: digest(file) for file in (path, *found.files)}
    sizes, last = _input(program, path)
    loaded = load_module(
        _Program(program, last=last),
        found.values,
        options=request.options,
        sizes=sizes,
        origin=origin,
        place=found.place or path.name,
        normalize=request.normalize,
        what=str(path),
    )
    notes = (*((_LAST,) if last else ()), *loaded.notes)
    return dataclasses.replace(loaded, spec=loaded.spec.model_copy(update={"architecture": path.stem}), notes=notes)


class _Program(nn.Module):
    """An exported program, which refuses to be told again that it is not in training.

    Args:
        program: As torch.export reads it.
        last: Whether it takes its image channels last.
    """

    def __init__(self, program: torch.export.ExportedProgram, *, last: bool) -> None:
        super().__init__()
        self._last = last
        # Its guards are those of the size it was traced at; that it is right at others is what verification shows.
        self.program = program.module(check_guards=False)
        self.program.train = lambda mode=True: self.program  # type: ignore[method-assign]  # noqa: ARG005

    def forward(self, image: torch.Tensor) -> Any:
        return self.program(image.permute(0, 2, 3, 1) if self._last else image)


def _input(program: torch.export.ExportedProgram, path: Path) -> tuple[SizeRule | None, bool]:
    """The one size of a static program, None where the description decides; whether it takes its channels last.

    Raises:
        UnsupportedError: The program does not take one image.
    """
    inputs = [node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor) or inputs[0].dim() != _IMAGE:
        shapes = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in inputs)
        raise UnsupportedError(f"{path} takes {shapes or 'nothing'}; expected one float32 image (N, channels, H, W)")
    shape = tuple(side if isinstance(side, int) else str(side) for side in inputs[0].shape)
    image, last = only_image([TensorInfo(name="image", dtype="float32", shape=shape)], path)
    return (sizes_of(image, SizeRule()) if fixed(image, 2) else None), last


def load_module(
    module: nn.Module,
    description: DescriptionLike | ModelSpec | str,
    *,
    options: Options = None,
    sizes: SizeRule | None = None,
    origin: Mapping[str, FileDigest] | None = None,
    place: str = "the description",
    normalize: Preset | None = None,
    what: str = "the module",
) -> Loaded:
    """Return a module and what its description says of it.

    Args:
        module: float32 (N, C, H, W), normalised -> scores (N, K, h, w), or labels (N, H, W); put into evaluation mode,
            on the CPU.
        description: A ModelSpec, a YAML file or its content; None: classes without names.
        options: Laid over the description.
        sizes: Which input sizes it takes; None: what the description says.
        origin: Files it comes from.
        place: What ``description`` is, where it is no file.
        normalize: How images are normalised, where the description does not say.
        what: The module, to begin error messages with.

    Raises:
        ConfigError: The description is of another network, or nothing says how images are normalised.
        UnsupportedError: The module returns neither scores nor labels.
    """
    given = Path(description) if isinstance(description, str) else description
    said = read_description(given, options, place=place, normalize=normalize)
    rule = said.sizes if sizes is None else sizes
    module = module.requires_grad_(requires_grad=False).eval().cpu().float()
    denormals = flush_denormals(module)
    channels = (said.normalization and said.normalization.channels) or _channels(module)
    images = probe_images(said.normalized(what, channels), said.seen(channels), rule)
    select = _ScoresOrLabels()
    wrapped = module if isinstance(module, Network) else WrappedNetwork(module, 1, sizes=rule, select=select)
    found = _findings(wrapped, images, said, what)
    architecture = f"{type(module).__module__.partition('.')[0]}.{type(module).__name__}"
    spec, notes, provenance = said.spec(
        source="python",
        architecture=architecture,
        outputs=found.channels,
        channels=channels,
        returns=found.returns,
        guessed=found.guessed,
    )
    wrapped.num_classes, wrapped.out_channels = len(spec.classes), found.channels
    wrapped.align_corners = spec.align_corners
    notes = (*notes, *found.notes, *select.notes)
    return Loaded(spec, wrapped, notes, origin or {}, denormals, provenance=provenance)


class _ScoresOrLabels:
    """Finds scores or labels in what a module returns, and notes what was beside them."""

    notes: tuple[str, ...] = ()

    def __call__(self, output: Any) -> torch.Tensor:
        note = scores_among_others(output)
        self.notes = () if note is None else (note,)
        return scores_of(output, least=_LABELS)


def _findings(network: Network, images: list[NDArray[np.float32]], said: Description, what: str) -> Findings:
    """What the module returns, from running it; a network of the zoo returns logits."""
    if isinstance(network, WrappedNetwork):
        found = find_returned(network, images, what, said=said.returns, classes=said.count)
        network.arrange(found.arrangement)
        return found
    with torch.inference_mode():
        return Findings(Arrangement(), network.logits(torch.from_numpy(images[0])).shape[1], "logits")


def _call(entry: str) -> Any:
    name, colon, function = entry.partition(":")
    if not colon or not function.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{entry!r} names no function: expected package.module:function, as in mymodels.road:build")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as ``python -m`` does: a user's module lies where the command is given
    try:
        return getattr(importlib.import_module(name), function)()
    except SegshipError:
        raise
    except Exception as error:
        raise ConfigError(f"{entry} fails: {type(error).__name__}: {str(error).partition(chr(10))[0]:.200}") from error


def _channels(module: nn.Module) -> int:
    """Channels of the image: as many as the first convolution takes."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            return part.in_channels
    return 3


FRAMEWORK = Framework(
    "a torch module",
    "python:package.module:function, or a .pt2 program of torch.export, both with --trust",
    recognises,
    load,
    asks=True,
)
