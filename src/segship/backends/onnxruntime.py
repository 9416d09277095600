"""ONNX Runtime: the engine that the base install brings."""

from __future__ import annotations

import mmap
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session, TensorInfo, shapes_of
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    embed=("fp32", "fp16", "int8"),
    classes_last=True,
    reference=("onnx",),
)

_MANY_HEADS = 8  # enough for most processors' threads
_SHORT = 256  # tokens; windows of attention have fewer, and so many of them that no thread is idle
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "cann": "CANNExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


def _load() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Running ONNX engines", "", "onnxruntime") from error
    return onnxruntime


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Take the ONNX file nearly as it is: ONNX Runtime optimises it for the processor at hand when it is opened.

    What it does not do itself is left to `_without_slow_kernels`.

    Args:
        graph: Of the target's precision already.
        target: What is built; nothing here depends on it.
        directory: Where the files go.
    """
    del target
    files = [graph.path, *graph.path.parent.glob(f"{graph.path.name}.data")]
    for file in files:
        if file.parent != directory:
            shutil.copyfile(file, directory / file.name)
    _without_slow_kernels(directory / graph.path.name)
    return Engine(directory, tuple(file.name for file in files), graph.inputs, graph.outputs)


def _without_slow_kernels(path: Path) -> None:
    """Write operators with slow kernels as others; OpenVINO's are quick, so this is no pass for all engines.

    PRelu becomes ``max(x, slope * x)``, the same bit for bit for finite x where no slope is above 1: its own kernel
    takes a quarter of CGNet's time, these two an eighth. Quantised graphs keep what they were calibrated for.

    Attention of few heads over many tokens becomes its two products and a softmax: its kernel computes each head in one
    thread, so that SegFormer's first stage, of one head, leaves all others idle.
    """
    try:
        import onnx
    except ImportError:
        return
    if not any(_mentions(path, word) for word in (b"PRelu", b"Attention")):
        return  # most have none, and need not be read as a whole to see it
    model = onnx.load(path, load_external_data=False)
    nodes = list(model.graph.node)
    slopes = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    quantized = any(node.op_type == "QuantizeLinear" for node in nodes)
    shapes = _shapes(model) if any(node.op_type == "Attention" for node in nodes) else {}
    changed = False
    del model.graph.node[:]
    for node in nodes:
        instead = [node]
        if node.op_type == "PRelu" and not quantized and _at_most_one(slopes.get(node.input[1])):
            scaled = f"{node.output[0]}_scaled"
            instead = [
                onnx.helper.make_node("Mul", node.input, [scaled], name=scaled),
                onnx.helper.make_node("Max", [node.input[0], scaled], node.output, name=node.name),
            ]
        elif node.op_type == "Attention" and _leaves_threads_idle(node, shapes):
            instead = _products(model, node, int(shapes[node.input[0]][3]))
        changed |= instead[0] is not node
        model.graph.node.extend(instead)
    if changed:
        onnx.save(model, path)


def _shapes(model: Any) -> dict[str, list[int | str]]:
    """Sides of the float32 values, by name; numbers where they are known. Weights are left out of the inference."""
    from onnx import TensorProto, helper, shape_inference

    inputs, sizes = list(model.graph.input), []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT64:
            sizes.append(tensor)
        else:
            inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph = helper.make_graph(model.graph.node, "light", inputs, model.graph.output, sizes)
    light = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    inferred = shape_inference.infer_shapes(light, data_prop=True).graph
    return {
        value.name: [side.dim_value if side.HasField("dim_value") else side.dim_param for side in sides.dim]
        for value in (*inferred.input, *inferred.value_info)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and (sides := value.type.tensor_type.shape)
    }


def _leaves_threads_idle(node: Any, shapes: Mapping[str, list[int | str]]) -> bool:
    """Whether ``node`` is plain attention of (batch, heads, tokens, channels), float32, few heads and many tokens."""
    query, key, value = (shapes.get(name, []) for name in node.input[:3])
    options = {option.name for option in node.attribute if option.i or option.f}  # what is 0 is off
    return (
        len(query) == len(key) == len(value) == 4  # noqa: PLR2004
        and query[1] == key[1] == value[1]
        and isinstance(query[1], int)
        and query[1] < _MANY_HEADS
        and isinstance(query[3], int)
        and (isinstance(query[2], str) or query[2] > _SHORT)
        and len(node.output) == 1
        and not any(node.input[3:])
        and options <= {"scale"}
    )


def _products(model: Any, node: Any, channels: int) -> list[Any]:
    """``softmax(scale * query @ key^T) @ value``."""
    from onnx import helper, numpy_helper

    given = {option.name: option.f for option in node.attribute}
    (query, key, value), name = node.input[:3], node.output[0]
    scale = np.array(given.get("scale") or channels**-0.5, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Mul", [query, f"{name}_scale"], f"{name}_scaled", {}),
        ("Transpose", [key], f"{name}_turned", {"perm": [0, 1, 3, 2]}),
        ("MatMul", [f"{name}_scaled", f"{name}_turned"], f"{name}_scores", {}),
        ("Softmax", [f"{name}_scores"], f"{name}_weights", {"axis": -1}),
        ("MatMul", [f"{name}_weights", value], name, {}),
    ]
    return [helper.make_node(kind, inputs, [output], name=output, **how) for kind, inputs, output, how in steps]


def _mentions(path: Path, word: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0


def _at_most_one(slope: Any) -> bool:
    from onnx import TensorProto, numpy_helper

    if slope is None or slope.data_location == TensorProto.EXTERNAL:
        return False
    return bool((numpy_helper.to_array(slope) <= 1).all())


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an ONNX file.

    Args:
        engine: Its first file is the model.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt``, ``coreml``, ``directml``, ``cann``.
        threads: For one operator; None: one for each physical core.

    Raises:
        BackendError: The device is unknown or not offered here, or the file cannot be opened.
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
    with engine_errors(f"ONNX Runtime cannot open {path}"):
        session = runtime.InferenceSession(str(path), options, providers=_providers(runtime, device))
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with engine_errors(f"ONNX Runtime refuses the input {shapes_of(feeds)}"):
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return OpenSession("ONNX Runtime", run)


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


def _providers(runtime: Any, device: str) -> list[Any]:
    kind, _, index = device.partition(":")
    if kind not in _PROVIDERS or not (index.isdigit() or not index):
        raise BackendError(f"no device is called {device!r}: {', '.join(_PROVIDERS)}, or cuda:0 for the first GPU")
    available = runtime.get_available_providers()
    if _PROVIDERS[kind] not in available:
        have = ", ".join(name for name, provider in _PROVIDERS.items() if provider in available)
        raise BackendError(f"this build of ONNX Runtime has no {kind} support (it has {have}){_install_hint(kind)}")
    provider = (_PROVIDERS[kind], {"device_id": int(index)}) if index else _PROVIDERS[kind]
    return [provider] if kind == "cpu" else [provider, _PROVIDERS["cpu"]]


def _install_hint(kind: str) -> str:
    packages = {"cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "directml": "onnxruntime-directml"}
    return f": pip install {packages[kind]}" if kind in packages else ""


def probe() -> tuple[Device, ...]:
    """The devices whose execution providers this build of ONNX Runtime has."""
    try:
        runtime = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    available = runtime.get_available_providers()
    note = f"onnxruntime {runtime.__version__}"
    return tuple(Device(name, usable=True, note=note) for name, provider in _PROVIDERS.items() if provider in available)
