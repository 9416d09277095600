"""torch's own exported programs: ``.pt2`` files, compiled ahead of time (AOTInductor) where the shape is static."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Any

from segship.backends._torch import devices, load, noted, torch_session
from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, engine_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.target import Target

__all__ = ["INFO", "convert", "inspect", "open", "probe"]

INFO = BackendInfo(
    title="torch",
    graph="pt2",
    precisions=("fp32",),
    extra="export",
    modules=("torch",),
    suffixes=(".pt2",),
    reference=("pt2",),
    runs_code="a compiled program is machine code, and one that is not may hold pickles, which torch runs",
    gaps={
        "fp16": "torch computes float16 on processors slower than float32; for a GPU take onnxruntime",
        "bf16": "the program keeps the types it was captured with",
        "safety": "its files can carry code that runs when they are opened: they are opened with --trust only",
        "int8": "torch's quantised programs need a backend of their own; take onnxruntime or openvino",
    },
)

_PROGRAM, _COMPILED = "model.pt2", "compiled.pt2"
_WHAT = "A torch engine"


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Take the program as it is, or, where the shape is static, compile it for this kind of machine.

    A dynamic program is opened and run by torch itself. A static one becomes a shared library (AOTInductor), which
    needs a C++ compiler here and now; without one the program is taken as it is.

    Args:
        graph: A program of torch.export.
        target: Its shape decides.
        directory: Where the file goes.

    Raises:
        BackendError: torch cannot compile the program.
    """
    torch = load(_WHAT)
    if target.shape.static is None or _compiler() is None:
        shutil.copyfile(graph.path, directory / _PROGRAM)
        return Engine(directory, (_PROGRAM,), graph.inputs, graph.outputs, {"compiled": False})
    path = directory / _COMPILED
    with engine_errors("torch cannot compile the program"):
        program = torch.export.load(str(graph.path))
        notes = {"aot_inductor.metadata": dict(graph.metadata)}
        torch._inductor.aoti_compile_and_package(  # noqa: SLF001
            program, package_path=str(path), inductor_configs=notes
        )
    return Engine(directory, (_COMPILED,), graph.inputs, graph.outputs, {"compiled": True})


def _compiler() -> str | None:
    return shutil.which("g++") or shutil.which("clang++")


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a program.

    Args:
        engine: Its first file is the program; ``compiled`` of its options says which kind.
        device: ``cpu``, ``cuda``, ``cuda:1``; a compiled program runs on the kind of device it was compiled for.
        threads: Of torch in each run; None: as torch is set.

    Raises:
        BackendError: The device is not there, or the file cannot be opened.
    """
    torch = load(_WHAT)
    path = engine.directory / engine.files[0]
    with engine_errors(f"torch cannot open {path} on {device}"):
        if engine.options.get("compiled"):
            run = torch._inductor.aoti_load_package(str(path))  # noqa: SLF001
        else:
            # Its guards are those of the size it was traced at; that it is right at others is what verification shows.
            run = torch.export.load(str(path)).module(check_guards=False).to(device)

    def checked(*images: Any) -> Any:
        for tensor, image in zip(engine.inputs, images, strict=False):
            _require_shape(tensor.shape, image.shape)
        return run(*images)

    return torch_session(torch, checked, engine, INFO.title, device=device, threads=threads)


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What Segship noted in a file, and whether it is compiled; nothing of it is run.

    Raises:
        BackendError: It is no file of torch's.
    """
    with engine_errors(f"torch cannot read {path}"), zipfile.ZipFile(path) as archive:
        compiled = any("/data/aotinductor/" in name for name in archive.namelist())
    return Engine(path.parent, (path.name,), (), (), {"compiled": compiled}), noted(path)


def _require_shape(expected: tuple[int | str, ...], shape: tuple[int, ...]) -> None:
    """A compiled program does not look at the sizes it is given: it would read beyond them."""
    sides = zip(expected, shape, strict=False)
    if len(shape) != len(expected) or any(isinstance(want, int) and want != have for want, have in sides):
        wanted = "x".join(map(str, expected))
        raise BackendError(f"torch refuses the input {tuple(shape)}: this engine takes {wanted}")


def probe() -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds."""
    return devices(_WHAT, "" if _compiler() else "; no C++ compiler, so nothing is compiled")
