"""Weights into a network, exactly: every key accounted for, or an error that says what usually is the reason."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from segship.core.errors import CheckpointError, SegshipWarning

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["flush_denormals", "load_strict", "require_same_keys"]

_EXPONENT, _FRACTION = 0x7F800000, 0x007FFFFF  # of a float32
_SHOWN = 10
_DERIVED = re.compile(
    r"(^|\.)(num_batches_tracked|relative_position_index|relative_coords_table|attn_mask|position_ids)$"
)
_TRAINING_ONLY = re.compile(
    r"^(auxiliary_head|data_preprocessor)\."
    r"|(^|\.)(loss_\w+|criterion)\."  # buffers of losses
    r"|(^|\.)conv_seg\.(weight|bias)$"  # left over in heads that do not use it: those that do, expect it
)


@dataclass(frozen=True)
class _Mismatch:
    """What separates a checkpoint from a network, as ``key`` or ``key HxW, expected HxW``."""

    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)


def load_strict(network: nn.Module, state: dict[str, Tensor], *, what: str = "the checkpoint") -> int:
    """Copy ``state`` into ``network``; denormal numbers become zero.

    A prefix that all keys of ``state`` share, as of a Lightning module, is cut off with a warning where they fit then.
    Left out without complaint: auxiliary heads that ``network`` has not, buffers of losses, and indices that follow
    from the network's own sizes. Denormal numbers (below 1.2e-38) change no result, but slow a CPU down many times.

    Args:
        network: Where to.
        state: Tensor of each key.
        what: The file, for messages.

    Returns:
        How many denormal numbers were set to zero.

    Raises:
        CheckpointError: Keys are missing, unexpected or misshapen.
    """
    state, prefix = _fitting(network, state, what)
    if prefix:
        told = f"{what}, all of whose keys begin with {prefix!r:.80}, is of this network without that prefix"
        warnings.warn(told, SegshipWarning, stacklevel=2)
    expected, denormals = network.state_dict(), 0
    with torch.no_grad():
        for key, target in expected.items():
            if key in state and target.shape == state[key].shape:
                target.copy_(state[key])
                denormals += _flush(target)
    return denormals


def require_same_keys(network: nn.Module, state: dict[str, Tensor], *, what: str = "the checkpoint") -> None:
    """Refuse weights that `load_strict` would refuse; the network needs no memory for its own.

    Args:
        network: Where they are to go.
        state: Tensor of each key.
        what: The file, for messages.

    Raises:
        CheckpointError: Keys are missing, unexpected or misshapen.
    """
    _fitting(network, state, what)


def _fitting(network: nn.Module, state: dict[str, Tensor], what: str) -> tuple[dict[str, Tensor], str]:
    """The weights by the network's keys, and the prefix that all had that do not fit with it.

    Raises:
        CheckpointError: They are not of this network.
    """
    expected, prefix = network.state_dict(), ""
    mismatch = _compare(expected, state)
    if mismatch and (prefix := _common_prefix(expected, state)):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        mismatch, what = _compare(expected, state), f"{what}, all of whose keys begin with {prefix!r:.80},"
    if mismatch:
        raise CheckpointError(f"{what} is not of this network: {_describe(mismatch, expected, state)}")
    return state, prefix


def flush_denormals(network: nn.Module) -> int:
    """Set the denormal numbers of ``network`` to zero, as `load_strict` does.

    Returns:
        How many there were.
    """
    with torch.no_grad():
        return sum(map(_flush, network.state_dict().values()))


def _flush(tensor: Tensor) -> int:
    if tensor.dtype is not torch.float32:
        return 0
    # By the bits: an engine opened before may have told this thread to take denormals for zero, in comparisons too.
    bits = tensor.detach().contiguous().view(torch.int32)
    denormal = ((bits & _EXPONENT) == 0) & ((bits & _FRACTION) != 0)
    count = int(denormal.sum())
    if count:
        tensor[denormal] = 0
    return count


def _compare(expected: dict[str, Tensor], state: dict[str, Tensor]) -> _Mismatch:
    missing = [key for key in expected if key not in state and not _DERIVED.search(key)]
    unexpected = [key for key in state if key not in expected and not _ignorable(key)]
    misshapen = [
        f"{key} {_size(state[key])}, expected {_size(expected[key])}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape and not key.endswith("num_batches_tracked")
    ]
    return _Mismatch(missing, unexpected, misshapen)


def _common_prefix(expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    """The names, ending in a point, that all keys of ``state`` begin with and that no key of the network has."""
    first, last = min(state, default=""), max(state, default="")
    shared = first[
        : next((at for at, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first))
    ]
    prefix = shared[: shared.rfind(".") + 1]
    for end in range(len(prefix), 0, -1):  # the longest may cut off a part of the network's own names
        whole = prefix[:end]
        if whole.endswith(".") and any(key.removeprefix(whole) in expected for key in state):
            return whole
    return ""


def _ignorable(key: str) -> bool:
    return bool(_DERIVED.search(key) or _TRAINING_ONLY.search(key))


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _describe(mismatch: _Mismatch, expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    parts = []
    for word in ("missing", "unexpected", "misshapen"):
        keys = getattr(mismatch, word)
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            parts.append(f"{len(keys)} {word} ({'; '.join(keys[:_SHOWN])}{more})")
    return f"{', '.join(parts)}. {_usual_reason(mismatch, expected, state)}"


def _usual_reason(mismatch: _Mismatch, expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    for reason in (_classes_differ, _other_kind_of_file, _other_depth):
        if text := reason(mismatch, expected, state):
            return text
    if mismatch.misshapen and not mismatch.missing and not mismatch.unexpected:
        return "Usually the config has other widths (channels, embed_dims, img_size) than the one it was trained with"
    return "Usually the config is not the one it was trained with"


def _classes_differ(mismatch: _Mismatch, expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    heads = [key for key in expected if key.startswith(("decode_head", "auxiliary_head"))]
    changed = {line.split(" ", 1)[0] for line in mismatch.misshapen}
    if mismatch.missing or mismatch.unexpected or not changed or not changed <= set(heads):
        return ""
    firsts = {(state[key].shape[:1], expected[key].shape[:1]) for key in changed if state[key].ndim}
    if len(firsts) != 1:
        return ""
    found, wanted = firsts.pop()
    return (
        f"Usually the number of classes differs: the checkpoint has {found[0]}, the config {wanted[0]}; "
        f"set num_classes of the heads, as in --cfg-options model.decode_head.num_classes={found[0]}"
    )


def _other_kind_of_file(_: _Mismatch, expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    common = expected.keys() & state.keys()
    bare = {key.removeprefix("backbone.") for key in expected if key.startswith("backbone.")}
    if not any(key.startswith("decode_head") for key in common) and bare & {
        key.removeprefix("backbone.") for key in state
    }:
        return "Usually these are weights of a backbone only, from pre-training, not of a trained segmentation network"
    if not common:
        return "No key is the same: it is a checkpoint of another network or another framework"
    return ""


def _other_depth(mismatch: _Mismatch, expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    backbone = [key for key in (*mismatch.missing, *mismatch.unexpected) if key.startswith("backbone.")]
    numbered = [key for key in backbone if re.search(r"\.\d+\.", key)]
    if not numbered or len(numbered) < len(backbone) or not expected.keys() & state.keys():
        return ""
    return "Usually the backbone has another depth than in the config it was trained with"
