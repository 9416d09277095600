"""ONNX Runtime: the engine that the base install brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.backends._providers import open_session, usable_devices
from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session, TensorInfo, shapes_of
from segship.core.compiled import compiled_folder
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "inspect", "open", "probe"]

INFO = BackendInfo(
    title="ONNX Runtime",
    graph="onnx",
    precisions=("fp32", "fp16", "int8"),
    lowered=("fp16", "int8"),
    extra="",
    modules=("onnxruntime",),
    gaps={"bf16": "its kernels for processors have no bfloat16"},
    suffixes=(".onnx",),
    is_source=True,
    mmdeploy=True,
    embed=("fp32", "fp16", "int8"),
    branches=True,
    reference=("onnx",),
    passes=("prelu_to_max", "attention_to_products", "unsigned_activations", "pads_with_axes"),
)


_OPTIMISED = "optimised.onnx"
_MOST_KEPT = 2**26  # bytes: to digest the copy of a larger graph takes as long as to optimise it


def _load() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Running ONNX engines", "", "onnxruntime") from error
    return onnxruntime


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Take the ONNX file as it is: ONNX Runtime optimises it for the processor at hand when it is opened.

    Args:
        graph: Of the target's precision already.
        target: What is built; nothing here depends on it.
        directory: Where the files go.
    """
    del target
    import shutil

    files = [graph.path, *graph.path.parent.glob(f"{graph.path.name}.data")]
    for file in files:
        if file.parent != directory:
            shutil.copyfile(file, directory / file.name)
    return Engine(directory, tuple(file.name for file in files), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an ONNX file.

    Args:
        engine: Its first file is the model.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt``, ``coreml``, ``directml``, ``cann``, ``openvino``,
            ``webgpu``.
        threads: For one operator; None: one for each physical core.

    Raises:
        BackendError: The device is unknown, not here, or not really used, or the file cannot be opened.
    """
    runtime = _load()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # Arithmetic on denormals is many times slower and cannot change a label.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Idle workers otherwise wait in a loop and take the processor from what makes the mask.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path = engine.directory / engine.files[0]
    if engine.cache and device == INFO.default_device and len(engine.files) == 1 and path.stat().st_size <= _MOST_KEPT:
        session = _open_optimised(runtime, path, options, engine.cache)
    else:
        session = open_session(runtime, path, options, device)
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with engine_errors(f"ONNX Runtime refuses the input {shapes_of(feeds)}"):
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return OpenSession("ONNX Runtime", run)


def _open_optimised(runtime: Any, path: Path, options: Any, cache: str) -> Any:
    """Open a graph on the processor as it was optimised at an earlier start, or keep what becomes of it now."""
    level = options.graph_optimization_level
    with compiled_folder(cache, "ONNX Runtime", runtime.__version__, runtime.get_build_info()) as folder:
        if folder is not None:
            optimised = folder / _OPTIMISED
            is_there = optimised.is_file()
            if is_there:
                options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
            else:
                options.optimized_model_filepath = str(optimised)
            try:
                return open_session(runtime, optimised if is_there else path, options, INFO.default_device)
            except BackendError:  # it cannot be written, or is none: the graph itself can be opened, or says why not
                optimised.unlink(missing_ok=True)
                options.graph_optimization_level, options.optimized_model_filepath = level, ""
        return open_session(runtime, path, options, INFO.default_device)


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What an ONNX file takes and returns, and its metadata.

    Raises:
        BackendError: It cannot be opened.
    """
    runtime = _load()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it is not going to run
    with engine_errors(f"ONNX Runtime cannot open {path}"):
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, outputs = (tuple(map(_tensor, values)) for values in (session.get_inputs(), session.get_outputs()))
    return Engine(path.parent, (path.name,), inputs, outputs), session.get_modelmeta().custom_metadata_map


def _tensor(value: Any) -> TensorInfo:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    # A free side that has no name gets one, as long as it is no number.
    shape = tuple(side if isinstance(side, (int, str)) else f"side-{axis}" for axis, side in enumerate(value.shape))
    return TensorInfo(name=value.name, dtype={"float": "float32", "double": "float64"}.get(kind, kind), shape=shape)


def probe() -> tuple[Device, ...]:
    """The devices whose execution providers this build of ONNX Runtime has, or a plugin brings."""
    try:
        runtime = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    note = f"onnxruntime {runtime.__version__}"
    return tuple(
        Device(name, usable=not reason, note=reason or note) for name, reason in usable_devices(runtime).items()
    )
