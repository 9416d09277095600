"""What to do where no source recognises a file, or nothing lies there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hub_advice", "torch_file_advice"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SUFFIXES = frozenset({".bin", ".json", ".onnx", ".pt", ".pt2", ".pth", ".py", ".safetensors", ".xml", ".yaml", ".yml"})
_TORCH_SUFFIXES = {".pt", ".pth", ".ckpt", ".pkl", ".bin", ".ts", ".torchscript"}


def torch_file_advice(path: Path) -> str:
    """Tell what to do with a file of ``torch.save`` or TorchScript that stands where a config is expected."""
    if path.suffix.lower() not in _TORCH_SUFFIXES or not path.is_file():
        return ""
    return (
        ": a file of torch alone says too little. Weights are given after their config (SOURCE CHECKPOINT); a whole "
        "module (torch.save(model), torch.jit.save) is returned by a function of yours: --source "
        "python:package.module:function --trust"
    )


def hub_advice(path: Path) -> str:
    """Tell how to go on where ``path`` may be the name of a network of the hub: nothing is downloaded here."""
    name = path.as_posix()
    if path.is_absolute() or _HUB_NAME.fullmatch(name) is None or path.suffix in _SUFFIXES:
        return ""
    folder = path.name
    return (
        f". If it is a network of the Hugging Face hub: segship zoo download hf:{name} --to {folder}, and give the "
        f"folder {folder}; nothing is downloaded here"
    )
