"""A checkpoint as it is handed on: weights and class names, nothing of the training, its digest in its name."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from segship.core.errors import InputError, VerificationError
from segship.core.files import write_atomically
from segship.reading.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.checkpoint import Checkpoint

__all__ = ["Published", "publish"]

_DIGITS = 8
_KEPT = ("dataset_meta", "CLASSES", "PALETTE", "mmseg_version", "mmengine_version", "mmcv_version", "epoch", "iter")
_SAFETENSORS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A published checkpoint.

    Attributes:
        path: The file: ``{stem}-{first 8 digits of sha256}{suffix}``.
        sha256: Its SHA-256, hexadecimal.
        size: Its size in bytes.
        source_size: Size in bytes of the checkpoint it was made from.
        tensors: How many weights it holds; each was read back and compared bit by bit.
        meta: Names of what was kept beside them.
    """

    path: Path
    sha256: str
    size: int
    source_size: int
    tensors: int
    meta: tuple[str, ...]


def publish(
    checkpoint: str | Path, out: str | Path | None = None, *, keep_meta: bool = False, trust: bool = False
) -> Published:
    """Write what others need of a checkpoint, under a name that carries its digest.

    Left behind are the optimizer's state, the message hub, moving averages beside the weights (``ema_…``), the prefix
    of a parallel wrapper, devices, and of the meta data all but class names, colours, versions and the number of
    iterations: the rest holds paths and names of the machine it was trained on.

    Args:
        checkpoint: What training wrote.
        out: The file, to which the digest is added: ``fcn.pth`` becomes ``fcn-0a1b2c3d.pth``; ``.safetensors`` chooses
            that format. None: the checkpoint's own name and folder, as ``.pth``.
        keep_meta: Keep all meta data, the config included.
        trust: Load a checkpoint that can only be read by running the code it carries.

    Returns:
        The file that was written.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        InputError: ``out`` has another suffix, or cannot be written.
        VerificationError: What was written is not what was read; the file is removed.

    Examples:
        >>> from segship.tools.publish import publish
        >>> published = publish("weights.pth", "small.pth")
        >>> published.path.name == f"small-{published.sha256[:8]}.pth"
        True
    """
    read = read_checkpoint(Path(checkpoint), trust=trust)
    target = Path(out) if out is not None else read.path.with_suffix(".pth")
    state = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in read.state.items()}
    meta = read.meta if keep_meta else {key: read.meta[key] for key in _KEPT if key in read.meta}
    data = _serialise(target, state, meta)
    digest = sha256(data).hexdigest()
    path = target.with_name(f"{target.stem}-{digest[:_DIGITS]}{target.suffix}")
    write_atomically(path, data)
    _require_same(path, read)
    return Published(path, digest, len(data), read.digest.size, len(state), tuple(meta))


def _serialise(target: Path, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    if target.suffix == ".safetensors":
        return _safetensors(state, meta)
    if target.suffix not in {".pth", ".pt"}:
        raise InputError(f"{target} ends with {target.suffix or 'nothing'}: expected .pth or .safetensors")
    buffer = io.BytesIO()
    torch.save({"meta": dict(meta), "state_dict": dict(state)}, buffer)
    return buffer.getvalue()


def _safetensors(state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt", "meta": json.dumps(meta)}}
    blocks: list[bytes] = []
    end = 0
    for key, tensor in state.items():
        block = _bytes(tensor)
        shape = list(tensor.shape)
        header[key] = {"dtype": _dtype(key, tensor), "shape": shape, "data_offsets": [end, end + len(block)]}
        blocks.append(block)
        end += len(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the numbers aligned
    return b"".join([len(text).to_bytes(8, "little"), text, *blocks])


def _dtype(key: str, tensor: Tensor) -> str:
    if tensor.dtype not in _SAFETENSORS:
        raise InputError(f"{key} is of type {tensor.dtype}, which safetensors files cannot hold: write a .pth file")
    return _SAFETENSORS[tensor.dtype]


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.reshape(math.prod(tensor.shape))
    return flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""


def _require_same(path: Path, source: Checkpoint) -> None:
    """Read ``path`` back and compare it bit by bit, NaN included, with what it was made from."""
    found = read_checkpoint(path).state
    for key, tensor in source.state.items():
        same = key in found and found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        if not same or _bytes(found[key]) != _bytes(tensor.contiguous()):
            path.unlink(missing_ok=True)
            raise VerificationError(f"{key} is not in {path} as it was in {source.path}: the file was removed")
    if len(found) != len(source.state):
        path.unlink(missing_ok=True)
        extra = ", ".join(sorted(found.keys() - source.state.keys())[:3])
        raise VerificationError(f"{path} holds weights that {source.path} has not ({extra}): the file was removed")
