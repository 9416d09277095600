"""torch's own exported programs: ``.pt2`` files, compiled ahead of time (AOTInductor) where the shape is static."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="torch",
    graph="pt2",
    precisions=("fp32",),
    extra="export",
    modules=("torch",),
    gaps={
        "fp16": "torch computes float16 on processors slower than float32; for a GPU take onnxruntime",
        "bf16": "the program keeps the types it was captured with",
        "safety": "a compiled program is machine code: open one only from people you trust, whatever its digest says",
        "int8": "torch's quantised programs need a backend of their own; take onnxruntime or openvino",
    },
)

_PROGRAM, _COMPILED = "model.pt2", "compiled.pt2"


def _load() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch engines", "export", "torch") from error
    return torch


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
    torch = _load()
    if target.shape.static is None or _compiler() is None:
        shutil.copyfile(graph.path, directory / _PROGRAM)
        return Engine(directory, (_PROGRAM,), graph.inputs, graph.outputs, {"compiled": False})
    path = directory / _COMPILED
    try:
        program = torch.export.load(str(graph.path))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))  # noqa: SLF001
    except Exception as error:
        raise BackendError(f"torch cannot compile the program: {_first_line(error)}") from error
    return Engine(directory, (_COMPILED,), graph.inputs, graph.outputs, {"compiled": True})


def _compiler() -> str | None:
    return shutil.which("g++") or shutil.which("clang++")


def open(engine: Engine, *, device: str = "cpu", threads: int | None = None) -> Session:  # noqa: A001
    """Open a program.

    Args:
        engine: Its first file is the program; ``compiled`` of its options says which kind.
        device: ``cpu``, ``cuda``, ``cuda:1``; a compiled program runs on the kind of device it was compiled for.
        threads: Of torch, in the whole process; None: as it is.

    Raises:
        BackendError: The device is not there, or the file cannot be opened.
    """
    torch = _load()
    path = engine.directory / engine.files[0]
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        if engine.options.get("compiled"):
            run = torch._inductor.aoti_load_package(str(path))  # noqa: SLF001
        else:
            # Its guards are those of the size it was traced at; that it is right at others is what verification shows.
            run = torch.export.load(str(path)).module(check_guards=False).to(device)
    except Exception as error:
        raise BackendError(f"torch cannot open {path} on {device}: {_first_line(error)}") from error
    return _Session(torch, run, device, engine)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


class _Session:
    def __init__(self, torch: Any, run: Any, device: str, engine: Engine) -> None:
        self._torch, self._run, self._device = torch, run, device
        self._engine = engine

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        torch = self._torch
        shapes = {name: value.shape for name, value in feeds.items()}
        # A compiled program does not look at the sizes it is given: it would read beyond them.
        for tensor in self._engine.inputs:
            _require_shape(tensor.shape, shapes)
        try:
            with torch.inference_mode():
                tensors = [torch.from_numpy(value).to(self._device) for value in feeds.values()]
                found = self._run(*tensors)
        except Exception as error:
            raise BackendError(f"torch refuses the input {shapes}: {_first_line(error)}") from error
        values = found if isinstance(found, (tuple, list)) else (found,)
        names = [tensor.name for tensor in self._engine.outputs]
        return {name: value.float().cpu().numpy() for name, value in zip(names, values, strict=True)}


def _require_shape(expected: tuple[int | str, ...], found: Mapping[str, tuple[int, ...]]) -> None:
    for shape in found.values():
        sides = zip(expected, shape, strict=False)
        if len(shape) != len(expected) or any(isinstance(want, int) and want != have for want, have in sides):
            wanted = "x".join(map(str, expected))
            raise BackendError(f"torch refuses the input {dict(found)}: this engine takes {wanted}")


def probe() -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds."""
    try:
        torch = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    note = f"torch {torch.__version__}" + ("" if _compiler() else "; no C++ compiler, so nothing is compiled")
    gpus = [Device(f"cuda:{index}", usable=True, note=note) for index in range(torch.cuda.device_count())]
    return (Device("cpu", usable=True, note=note), *gpus)
