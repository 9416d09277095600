"""Checkpoints, read without running anything they carry."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from segship.core.errors import CheckpointError, SegshipWarning, UnsafeFileError
from segship.core.files import FileDigest, digest
from segship.reading.archives import open_archive
from segship.reading.limits import Allowance, TooMuchError
from segship.reading.pickles import plain_values
from segship.reading.stand_ins import StoredTensor

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Checkpoint", "read_checkpoint"]

_OF_NNUNET, _OF_LIGHTLY = "network_weights", "train_model"
_NESTS = (
    "state_dict", "model", "model_state_dict", "model_state", "net", "network", "module", "params", _OF_NNUNET,
    _OF_LIGHTLY,
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.")
_META_VALUES = 200_000


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Trained weights.

    Attributes:
        path: The file.
        state: Tensor of each key, on the CPU.
        meta: What the framework noted beside them: ``dataset_meta``, ``CLASSES``, …; plain values only.
        digest: Size and SHA-256 of the file.
    """

    path: Path
    state: dict[str, Tensor]
    meta: dict[str, Any]
    digest: FileDigest


def read_checkpoint(path: Path, *, trust: bool = False) -> Checkpoint:
    """Read the checkpoint at ``path``.

    It may be what training wrote (optimizer and history included), ``state_dict`` with ``meta``, weights under
    ``model``, bare weights; in PyTorch's present or older format or safetensors; with the prefix of a parallel
    wrapper; from any device.

    Args:
        path: The file.
        trust: Load it even if that runs code that it carries; warns when it comes to that.

    Raises:
        CheckpointError: It is no checkpoint, or is damaged.
        UnsafeFileError: Reading it would run code; nothing was run.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist or is not a file")
        return _read(path)
    except UnsafeFileError:
        if not trust:
            raise
        return _read_trusting(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        archive = open_archive(path, file)
        stored, meta = _find_state(path, archive.values, StoredTensor)
        state = {key: archive.tensor(tensor) for key, tensor in stored.items()}
    return Checkpoint(path, state, _plain_meta(meta), digest(path))


def _read_trusting(path: Path) -> Checkpoint:
    warnings.warn(f"{path} runs code while it is loaded, as you asked for", SegshipWarning, stacklevel=4)
    try:
        values = torch.load(path, map_location="cpu", weights_only=False)  # the user said so
    except (
        RuntimeError,
        pickle.UnpicklingError,
        ImportError,
        AttributeError,
        EOFError,
        ValueError,
        TypeError,
    ) as error:
        raise CheckpointError(f"{path} cannot be loaded, even trusting it: {error}") from error
    state, meta = _find_state(path, values, Tensor)
    return Checkpoint(path, {key: tensor.detach() for key, tensor in state.items()}, _plain_meta(meta), digest(path))


def _find_state(path: Path, values: Any, kind: type[Any]) -> tuple[dict[str, Any], Any]:
    """The weights among ``values``, without wrappers' prefixes, and the meta data beside them."""
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{path} holds a {type(values).__name__}, expected a dictionary of weights")
    meta = _meta(values)
    for nest in (values.get(name) for name in _NESTS):
        if isinstance(nest, Mapping) and _weights(nest, kind):
            values = nest
            break
    state = _weights(values, kind)
    if not state:
        found = ", ".join(repr(str(key)[:40]) for key in list(values)[:8]) or "nothing"
        raise CheckpointError(f"{path} holds no weights: found {found}, expected a dictionary of tensors")
    return _without_averages(_without_prefixes(state)), meta


def _meta(values: Mapping[Any, Any]) -> Any:
    """What a framework notes beside the weights."""
    if _OF_NNUNET in values:
        return _of_nnunet(values)
    if _OF_LIGHTLY in values:
        return {name: values.get(name) for name in ("model_class_path", "model_init_args")}
    return values.get("meta", {})


def _of_nnunet(values: Mapping[Any, Any]) -> dict[str, Any]:
    """What nnU-Net's trainer notes of a network beside its weights."""
    arguments = values.get("init_args")
    named = {name: values.get(name) for name in ("trainer_name", "inference_allowed_mirroring_axes")}
    return named | {"configuration": arguments.get("configuration") if isinstance(arguments, Mapping) else None}


def _weights(values: Mapping[Any, Any], kind: type[Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if isinstance(key, str) and isinstance(value, kind)}


def _without_prefixes(state: dict[str, Any]) -> dict[str, Any]:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _without_averages(state: dict[str, Any]) -> dict[str, Any]:
    """Drop the moving averages that the framework's EMA hook of 0.x keeps beside the weights."""
    averages = {"ema_" + key.replace(".", "_") for key in state}
    return {key: value for key, value in state.items() if key not in averages}


def _plain_meta(meta: Any) -> dict[str, Any]:
    """The plain values of ``meta``; nothing where it is too large to be what the framework writes."""
    if not isinstance(meta, dict):
        return {}
    try:
        return dict(plain_values(meta, Allowance(_META_VALUES)))
    except TooMuchError:
        return {}
