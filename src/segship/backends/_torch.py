"""What torch's own two engines share: finding torch, its devices, and running what it opened."""

from __future__ import annotations

import contextlib
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Device, shapes_of
from segship.core.errors import MissingExtraError, engine_errors
from segship.core.plan import METADATA
from segship.core.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Engine

__all__ = ["devices", "load", "noted", "torch_session"]

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


@contextlib.contextmanager
def _threads(torch: Any, count: int | None) -> Iterator[None]:
    """Let torch take ``count`` threads for what the calling thread does inside; None leaves them."""
    before = torch.get_num_threads()
    if count in {None, before}:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def torch_session(
    torch: Any, module: Any, engine: Engine, title: str, *, device: str, threads: int | None
) -> OpenSession:
    """A session of a callable of torch's.

    Args:
        torch: The module.
        module: Takes tensors and returns one or several.
        engine: Names the outputs.
        title: The engine's name in error messages.
        device: Where the tensors go.
        threads: Of each run; None: as torch is set.
    """
    names = [tensor.name for tensor in engine.outputs]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with (
            engine_errors(f"{title} refuses the input {shapes_of(feeds)}"),
            torch.inference_mode(),
            _threads(torch, threads),
        ):
            # Compiled programs read memory as it lay when they were compiled, whatever an input's strides say.
            values = [torch.from_numpy(np.ascontiguousarray(value)).to(device) for value in feeds.values()]
            found = module(*values)
        results = found if isinstance(found, (tuple, list)) else (found,)
        return {name: value.float().cpu().numpy() for name, value in zip(names, results, strict=True)}

    return OpenSession(title, run)
