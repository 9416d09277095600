"""What torch's own two engines share: finding torch, its devices, and running what it opened."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Device, Engine, shapes_of
from segship.core.errors import MissingExtraError, engine_errors
from segship.core.manifest import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["TorchSession", "devices", "load", "noted", "set_threads"]

_MAXIMUM_NOTE = 16 * 2**20


def load(what: str) -> Any:
    """The module ``torch``.

    Args:
        what: What needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(what, "export", "torch") from error
    return torch


def devices(what: str, note: str = "") -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds.

    Args:
        what: What needs torch, as the subject of a sentence.
        note: Said of each behind torch's version.
    """
    try:
        torch = load(what)
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    note = f"torch {torch.__version__}{note}"
    gpus = [Device(f"cuda:{index}", usable=True, note=note) for index in range(torch.cuda.device_count())]
    return (Device("cpu", usable=True, note=note), *gpus)


def set_threads(torch: Any, threads: int | None) -> None:
    """Set torch's threads, in the whole process; None leaves them."""
    if threads is not None:
        torch.set_num_threads(threads)


def noted(path: Path) -> dict[str, str]:
    """What Segship noted in a file of torch's, which is a zip archive; nothing else of it is read.

    Raises:
        BackendError: It is no such file.
    """
    with engine_errors(f"torch cannot read {path}"), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            own = entry.filename.endswith(f"/extra/{METADATA}")
            compiled = entry.filename.endswith(".wrapper_metadata.json")
            if (own or compiled) and entry.file_size < _MAXIMUM_NOTE:
                text = archive.read(entry).decode()
                text = text if own else json.loads(text).get(METADATA, "")
                return {METADATA: text} if text else {}
    return {}


class TorchSession:
    """Runs a callable of torch's on arrays.

    Args:
        torch: The module.
        run: Takes tensors and returns one or several.
        device: Where the tensors go.
        engine: Names the outputs.
        title: The engine's name in error messages.
    """

    def __init__(self, torch: Any, run: Any, device: str, engine: Engine, title: str) -> None:
        self._torch, self._run, self._device, self._title = torch, run, device, title
        self._outputs = [tensor.name for tensor in engine.outputs]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, float32 on the processor."""
        torch = self._torch
        with engine_errors(f"{self._title} refuses the input {shapes_of(feeds)}"), torch.inference_mode():
            # Compiled programs read memory as it lay when they were compiled, whatever an input's strides say.
            values = [torch.from_numpy(np.ascontiguousarray(value)).to(self._device) for value in feeds.values()]
            found = self._run(*values)
        results = found if isinstance(found, (tuple, list)) else (found,)
        return {name: value.float().cpu().numpy() for name, value in zip(self._outputs, results, strict=True)}
