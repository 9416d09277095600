"""What the backends share whose engines run on a vendor's machine only: their programs are named, nothing is opened."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from segship.core import kits
from segship.core.artifacts import BackendInfo, Device, EngineOption
from segship.core.errors import BackendError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from segship.core.artifacts import Engine, Graph, Session
    from segship.core.kits import KitBackend, KitJob
    from segship.core.target import Target

__all__ = [
    "BATCHES",
    "ONE_BATCH",
    "builder",
    "describe",
    "device_number",
    "kit_functions",
    "last_error",
    "last_number",
    "never_free",
    "require_one",
]

_Convert: TypeAlias = "Callable[[Graph, Target, Path], Engine]"
_Probe: TypeAlias = "Callable[[], tuple[Device, ...]]"


class _Open(Protocol):
    def __call__(self, engine: Engine, *, device: str = ..., threads: int | None = ...) -> Session: ...


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


def require_one(job: KitJob, title: str) -> None:
    """Hold a job against tools that convert for one image at once.

    Raises:
        BackendError: Several are asked for.
    """
    if job.batches != (1,):
        raise BackendError(f"{title}: engines of one image at once are made: leave the option batch out")


def never_free(target: Target) -> bool:
    """Never: its engines take one size."""
    del target
    return False


def last_error(text: str) -> str:
    """The last line in which the program speaks of an error, or nothing."""
    lines = [line for line in text.splitlines() if re.search(r"error|fail", line, re.IGNORECASE)]
    return one_line(lines[-1]) if lines else ""


def last_number(pattern: re.Pattern[str], text: str) -> float | None:
    """The number that a pattern finds last; None: nowhere."""
    found = pattern.findall(text)
    return float(found[-1]) if found else None


def device_number(info: BackendInfo, device: str, threads: int | None) -> int:
    """Read which of several devices is meant: ``npu`` and ``npu:0`` are the first.

    Raises:
        BackendError: It is another kind of device, or a number of threads is given, which it has not.
    """
    place = info.default_device
    if threads is not None:
        raise BackendError(f"{info.title} runs on the {place.upper()}: leave --threads out")
    kind, _, index = device.partition(":")
    if kind != place or not (index.isdigit() or not index):
        raise BackendError(f"no device is called {device!r}: {info.title} runs on {place}, or {place}:1 for the second")
    return int(index or 0)


def builder(module: str) -> _Convert:
    """The function ``convert`` of the module called so: the vendor's program makes the engine, where it is on PATH."""

    def convert(graph: Graph, target: Target, directory: Path) -> Engine:
        """Let the vendor's program make the engine, where it is on PATH."""
        return kits.build_here(cast("KitBackend", sys.modules[module]), graph, target, directory)

    return convert


def kit_functions(module: str, info: BackendInfo) -> tuple[_Convert, _Open, _Probe]:
    """The functions ``convert``, ``open`` and ``probe`` of the module called so, whose engines are not run here."""

    def open(engine: Engine, *, device: str = info.default_device, threads: int | None = None) -> Session:
        """Refuse: the vendor's own runtime opens it.

        Raises:
            BackendError: Always; it says what to do.
        """
        del device, threads
        raise BackendError(f"{engine.directory / engine.files[0]}: {info.gaps['session']}")

    def probe() -> tuple[Device, ...]:
        """The device, which nothing here opens."""
        return (Device(info.default_device, usable=False, note=info.gaps["session"]),)

    return builder(module), open, probe
