"""What the backends share whose engines run on a vendor's machine only: their programs are named, nothing is opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from segship.core.artifacts import BackendInfo, Device, EngineOption
from segship.core.errors import BackendError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.core.artifacts import Engine

__all__ = ["BATCHES", "ONE_BATCH", "absent", "describe", "last_error", "refuse"]

ONE_BATCH = EngineOption(str, "1 is the only one")
BATCHES = EngineOption(str, "images at once, an engine for each: 1,4; 1 by default")


def describe(
    title: str,
    precisions: tuple[str, ...],
    device: str,
    options: Mapping[str, EngineOption],
    gaps: Mapping[str, str],
    *,
    dynamic: bool = False,
) -> BackendInfo:
    """Describe a backend that was written against documentation, and takes a plain ONNX file.

    Args:
        title: The vendor's name for it.
        precisions: That its programs make.
        device: Where its engines run.
        options: By name.
        gaps: What it cannot do, and why: its ``session``, and each precision and shape that it lacks.
        dynamic: Whether an engine takes any size.
    """
    return BackendInfo(
        title=title,
        graph="onnx",
        precisions=precisions,
        extra="",
        modules=(),
        opset=18,
        plain=17,
        unverified=True,
        dynamic=dynamic,
        default_device=device,
        threads="",
        parallel=False,
        options=dict(options),
        elsewhere="segship export … --kit FOLDER and segship adopt do it on a machine with the device",
        gaps={
            "tried": "written against the vendor's documentation; no device was at hand",
            "bf16": "its tools have no bfloat16 for whole networks",
            **gaps,
        },
    )


def last_error(text: str) -> str:
    """Return the last line in which a program speaks of an error, or nothing."""
    lines = [line for line in text.splitlines() if re.search(r"error|fail", line, re.IGNORECASE)]
    return one_line(lines[-1]) if lines else ""


def refuse(engine: Engine, info: BackendInfo) -> NoReturn:
    """Refuse to open an engine.

    Raises:
        BackendError: Always; it says what to do.
    """
    raise BackendError(f"{engine.directory / engine.files[0]}: {info.gaps['session']}")


def absent(info: BackendInfo) -> tuple[Device, ...]:
    """Return the device, which nothing here opens."""
    return (Device(info.default_device, usable=False, note=info.gaps["session"]),)
