"""Core ML: Apple's engine. Programs are written anywhere, and run where macOS is."""

from __future__ import annotations

import contextlib
import io
import logging
import platform
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session, TensorInfo, shapes_of
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "inspect", "open", "probe"]

INFO = BackendInfo(
    title="Core ML",
    graph="torchscript",
    precisions=("fp32", "fp16"),
    extra="coreml",
    modules=("coremltools",),
    suffixes=(".mlpackage",),
    dynamic=False,
    threads="",
    parallel=False,
    elsewhere="on a Mac, segship verify SOURCE CHECKPOINT PACKAGE does it",
    gaps={
        "bf16": "Core ML has no bfloat16",
        "int8": "calibrating it means running the program, which only macOS can",
        "dynamic": "coremltools fails on adaptive pooling and resizes of free sizes",
        "networks": "coremltools 9 beside NumPy 2.4 fails on networks that compute with their own sizes, such as "
        "SegFormer's attention; the export says so",
        "verification": "the program cannot be compared with the network where macOS is not; running it is written "
        "against the documented interface and has not been tried",
    },
)

_FOLDER = "model.mlpackage"
_UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "npu": "CPU_AND_NE", "auto": "ALL"}


def _load() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # It reports every library that only macOS has, and every torch newer than itself.
            logging.getLogger("coremltools").setLevel(logging.ERROR)
            import coremltools
    except ImportError as error:
        raise MissingExtraError("Core ML", "coreml", "coremltools") from error
    return coremltools


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Translate the traced network to an ML program that carries the graph's metadata.

    Args:
        graph: TorchScript, traced at the target's size.
        target: fp16 computes in float16; inputs and outputs stay float32.
        directory: Where the folder of the program goes.

    Raises:
        BackendError: coremltools cannot translate the network.
    """
    tools = _load()
    precision = tools.precision.FLOAT16 if target.precision == "fp16" else tools.precision.FLOAT32
    source, output = graph.inputs[0], graph.outputs[0]
    folder = directory / _FOLDER
    # It draws progress bars on the standard error stream.
    with (
        engine_errors("coremltools cannot translate the network"),
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        model = tools.convert(
            str(graph.path),
            source="pytorch",
            inputs=[tools.TensorType(name=source.name, shape=source.shape, dtype=np.float32)],
            outputs=[tools.TensorType(name=output.name, dtype=np.float32)],
            convert_to="mlprogram",
            compute_precision=precision,
            skip_model_load=True,
        )
        model.user_defined_metadata.update(graph.metadata)
        model.save(str(folder))
    return Engine(directory, _files(directory, folder), graph.inputs, graph.outputs)


def _files(directory: Path, folder: Path) -> tuple[str, ...]:
    """Every file of the program; the first, by which it is opened, lies at the top of its folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    found.sort(key=lambda path: path.parent != folder)
    return tuple(path.relative_to(directory).as_posix() for path in found)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a program.

    Args:
        engine: Its first file lies at the top of the program's folder.
        device: ``cpu``, ``gpu``, ``npu`` (Apple's neural engine) or ``auto``; the processor always takes part.
        threads: Core ML decides itself; anything but None is an error.

    Raises:
        BackendError: This is not macOS, the device is unknown, or the program cannot be opened.
    """
    if device not in _UNITS:
        raise BackendError(f"no device is called {device!r}: {', '.join(_UNITS)}")
    if threads is not None:
        raise BackendError("Core ML chooses its threads itself: leave them out")
    if platform.system() != "Darwin":
        raise BackendError(_elsewhere())
    tools = _load()
    path = (engine.directory / engine.files[0]).parent
    with engine_errors(f"Core ML cannot open {path}"):
        model = tools.models.MLModel(str(path), compute_units=getattr(tools.ComputeUnit, _UNITS[device]))
    return OpenSession("Core ML", _Run(model, engine))


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What the folder of a program takes and returns, and its metadata; works on every system.

    Raises:
        BackendError: It cannot be read.
    """
    tools = _load()
    with engine_errors(f"Core ML cannot open {path}"):
        description = tools.utils.load_spec(str(path)).description
    inputs, outputs = (tuple(map(_tensor, values)) for values in (description.input, description.output))
    engine = Engine(path.parent, _files(path.parent, path), inputs, outputs)
    return engine, dict(description.metadata.userDefined)


def _tensor(value: Any) -> TensorInfo:
    return TensorInfo(name=value.name, dtype="float32", shape=tuple(value.type.multiArrayType.shape))


def _elsewhere() -> str:
    return f"Core ML programs run on macOS only, this is {platform.system()}: copy the package to a Mac"


class _Run:
    """Apple documents a model as the business of one thread at a time."""

    def __init__(self, model: Any, engine: Engine) -> None:
        self._models = Pool(lambda: model)
        self._output = engine.outputs[0].name

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with self._models.lend() as model, engine_errors(f"Core ML refuses the input {shapes_of(feeds)}"):
            found = model.predict({name: np.asarray(value, np.float32) for name, value in feeds.items()})
        return {self._output: np.array(found[self._output], np.float32)}


def probe() -> tuple[Device, ...]:
    """What Core ML can be asked for; nothing of it works where macOS is not."""
    if platform.system() != "Darwin":
        return (Device("cpu", usable=False, note=_elsewhere()),)
    try:
        tools = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    return tuple(Device(name, usable=True, note=f"coremltools {tools.__version__}") for name in _UNITS)
