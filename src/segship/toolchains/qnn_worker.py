# ruff: noqa: PLC0415  (only this environment has what is imported)
"""What runs in the environment of onnxruntime-qnn; it may import nothing of Segship.

A network is compiled to a context binary, which the chip's runtime and the emulator both open: ``model.onnx`` has one
node, and names ``model_qnn.bin``. ONNX Runtime's processor kernels are locked out: this node is the whole network.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["build", "build_int8", "calibrate", "rank", "simulate"]

ENGINE, BINARY = "model.onnx", "model_qnn.bin"
_NETWORK, _RANGES, _QUANTISED = "network.onnx", "ranges.json", "quantised.onnx"
_PROVIDER = "QNNExecutionProvider"
_CHANNELS = {"Conv": 0, "ConvTranspose": 1}  # the axis of their weights
_WIDE = {"Add", "Gelu", "LayerNormalization", "MatMul", "Softmax"}  # 16 bits where a network attends
_SHOWN = 5  # layers that an error names


def build(network: str, folder: str, settings: str) -> None:
    """Compile an ONNX file; ``settings`` are the provider's options, as JSON."""
    options = json.loads(settings)
    try:
        _require_whole(_open(network, options, compiled=Path(folder) / ENGINE), Path(folder) / ENGINE)
    except Exception as error:  # noqa: BLE001  (whatever it is, the layers that are left out tell more)
        for name in (ENGINE, BINARY):
            (Path(folder) / name).unlink(missing_ok=True)  # it writes what it has got, too
        raise RuntimeError(_left_out(network, options) or str(error)) from None


def calibrate(network: str, inputs: str, folder: str) -> dict[str, list[str]]:
    """Find the ranges of an ONNX file's values on ``.npy`` files.

    Returns:
        ``layers``: the names of what is quantised; ``wide``: the kinds of layers that have 16 bits from the start.
    """
    import onnx
    from onnxruntime.quantization.execution_providers.qnn import qnn_preprocess_model

    model, path = onnx.load(network), str(Path(folder) / _NETWORK)
    del model.metadata_props[:]  # the preprocessing fails on any
    onnx.save(model, path)
    qnn_preprocess_model(path, path)  # which changes a model that is given in memory
    _quantise(Path(folder), (), [str(file) for file in sorted(Path(inputs).glob("*.npy"))])
    graph = onnx.load(path, load_external_data=False).graph
    wide, kinds = set(_attending(graph)), {node.name: node.op_type for node in graph.node}
    return {"layers": list(_quantised(Path(folder))), "wide": sorted({kinds[name] for name in wide})}


def build_int8(calibrated: str, folder: str, settings: str, kept: str) -> None:
    """Compile what `calibrate` wrote; the values of the layers in a JSON list have 16 bits."""
    _quantise(Path(calibrated), tuple(json.loads(kept)))
    build(str(Path(calibrated) / _QUANTISED), folder, settings)


def rank(calibrated: str, images: str) -> list[list[Any]]:
    """Run ``.npy`` files with one value quantised at a time; return each layer and how much the output changes."""
    import numpy as np
    import onnx

    folder = Path(calibrated)
    inputs = [np.load(path) for path in sorted(Path(images).glob("*.npy"))]
    _quantise(folder, ())
    values, scales = _quantised(folder), _scales(folder)
    network = onnx.load(folder / _NETWORK)
    want, found = _run(network, inputs), []
    for layer, value in values.items():
        alone = onnx.ModelProto()
        alone.CopyFrom(network)
        _round(alone, value, scales[value])
        change = [np.abs(got - expected).mean() for got, expected in zip(_run(alone, inputs), want)]  # noqa: B905
        found.append([layer, float(np.mean(change))])
    return found


def simulate(folder: str, settings: str) -> Callable[[Any], Any]:
    """Open a package's folder on the emulator; an array (1, C, H, W) is answered with the logits."""
    session = _open(str(Path(folder) / ENGINE), json.loads(settings))
    _require_whole(session, Path(folder) / ENGINE)
    name = session.get_inputs()[0].name

    def run(image: Any) -> Any:
        return session.run(None, {name: image})[0]

    return run


def _open(path: str, options: dict[str, str], compiled: Path | None = None, *, alone: bool = True) -> Any:
    """A session on the emulator; where it is not ``alone``, the processor may take what is left over."""
    import onnxruntime
    import onnxruntime_qnn  # type: ignore[import-not-found]

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    entries = {"session.record_ep_graph_assignment_info": "1"}
    if alone:
        entries["session.disable_cpu_ep_fallback"] = "1"
    if compiled is not None:
        entries |= {"ep.context_enable": "1", "ep.context_file_path": str(compiled), "ep.context_embed_mode": "0"}
    for name, value in entries.items():
        settings.add_session_config_entry(name, value)
    backend = {"backend_path": onnxruntime_qnn.get_qnn_htp_path()}
    settings.add_provider_for_devices([_emulator()], backend | options)
    return onnxruntime.InferenceSession(path, settings)


@functools.cache
def _emulator() -> Any:
    import onnxruntime
    import onnxruntime_qnn

    onnxruntime.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    for place in onnxruntime.get_ep_devices():
        if place.ep_name == _PROVIDER and place.device.type == onnxruntime.OrtHardwareDeviceType.CPU:
            return place
    raise RuntimeError("this machine has no emulator of Qualcomm's chips: onnxruntime-qnn has it for x86-64")


def _nodes(session: Any) -> dict[str, list[Any]]:
    """The operators that each provider computes."""
    found: dict[str, list[Any]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, []).extend(part.get_nodes())
    return found


def _require_whole(session: Any, engine: Path) -> None:
    """Read back that Qualcomm's provider is used, for everything, and that the network is one node."""
    import onnx

    if _PROVIDER not in session.get_providers() or set(_nodes(session)) != {_PROVIDER}:
        raise RuntimeError(f"the session has {', '.join(session.get_providers())}, and not all is {_PROVIDER}'s")
    kinds = [node.op_type for node in onnx.load(engine, load_external_data=False).graph.node]
    if kinds != ["EPContext"]:
        raise RuntimeError(
            f"the network is compiled in {len(kinds)} parts, the chip gets one: {', '.join(kinds[:_SHOWN])}"
        )


def _left_out(path: str, options: dict[str, str]) -> str:
    """Tell which operators the processor would have to compute; empty where that cannot be told."""
    try:
        nodes = _nodes(_open(path, options, alone=False))
    except Exception:  # noqa: BLE001  (the first error is told in its place)
        return ""
    left = [f"{node.op_type} {node.name!r}" for name, every in nodes.items() if name != _PROVIDER for node in every]
    if _PROVIDER not in nodes:
        return f"the chip takes no layer: there is none with the settings {options}"
    more = len(left) - _SHOWN
    told = ", ".join(left[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"the chip does not take {told}" if left else ""


def _quantise(folder: Path, kept: tuple[str, ...], images: list[str] | None = None) -> None:
    """Write the QDQ version of the network by the vendor's rules; without images, of the ranges that are known."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    network, ranges = folder / _NETWORK, folder / _RANGES
    graph = onnx.load(network, load_external_data=False).graph
    values = {node.name: node.output[0] for node in graph.node}
    overrides = {values[name]: [{"quant_type": QuantType.QUInt16}] for name in (*kept, *_attending(graph))}
    # Scales for each channel are for convolutions: with the recipe's own switch, normalisations are not the chip's.
    for node in graph.node:
        if node.op_type in _CHANNELS:
            weight = {"quant_type": QuantType.QInt8, "axis": _CHANNELS[node.op_type], "symmetric": True}
            overrides[node.input[1]] = [weight]
    config = get_qnn_qdq_config(str(network), None, init_overrides=overrides)
    quantize_static(
        str(network),
        str(folder / _QUANTISED),
        _Reader(images) if images else None,
        calibrate_method=config.calibrate_method,
        activation_type=config.activation_type,
        weight_type=config.weight_type,
        op_types_to_quantize=config.op_types_to_quantize,
        per_channel=config.per_channel,
        use_external_data_format=config.use_external_data_format,
        calibration_cache_path=ranges,
        extra_options=config.extra_options,
    )


def _attending(graph: Any) -> list[str]:
    """The layers of a network with attention whose values have 16 bits: what is small beside the rest decides there."""
    if not any(node.op_type == "Softmax" for node in graph.node):
        return []
    narrow = _narrow(graph)
    return [node.name for node in graph.node if node.op_type in _WIDE and node.name not in narrow]


def _narrow(graph: Any) -> set[str]:
    """Products that begin with a constant (EncNet's codewords), of which the chip has none in 16 bits: error 1002."""
    constants = {tensor.name for tensor in graph.initializer}
    return {node.name for node in graph.node if node.op_type == "MatMul" and node.input[0] in constants}


class _Reader:
    """What ONNX Runtime's calibration asks for inputs, until there are none."""

    def __init__(self, images: list[str]) -> None:
        self._feeds = self._read(images)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)

    def _read(self, images: list[str]) -> Iterator[dict[str, Any]]:
        import numpy as np

        for path in images:
            yield {"image": np.load(path)}


def _scales(folder: Path) -> dict[str, tuple[Any, Any]]:
    """Scale and zero point of each value that is quantised in eight bits while it runs."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / _QUANTISED)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants and node.input[2] in constants:
            scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            found[node.input[0].removesuffix("_QuantizeLinear_Input")] = (scale, zero)
    return found


def _quantised(folder: Path) -> dict[str, str]:
    """The value of each layer in eight bits that can have 16, by the layer's name, in the order of the graph."""
    import onnx

    scales, graph = _scales(folder), onnx.load(folder / _NETWORK, load_external_data=False).graph
    settled = {*_attending(graph), *_narrow(graph)}
    return {node.name: node.output[0] for node in graph.node if node.output[0] in scales and node.name not in settled}


def _round(model: Any, value: str, scale: tuple[Any, Any]) -> None:
    """Let a value pass through eight bits."""
    from onnx import helper, numpy_helper

    place = next(index for index, node in enumerate(model.graph.node) if value in node.output)
    exact, whole, names = f"{value}.exact", f"{value}.whole", [f"{value}.scale", f"{value}.zero"]
    maker = model.graph.node[place]
    maker.output[list(maker.output).index(value)] = exact
    for name, array in zip(names, scale):  # noqa: B905
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.node.insert(place + 1, helper.make_node("QuantizeLinear", [exact, *names], [whole]))
    model.graph.node.insert(place + 2, helper.make_node("DequantizeLinear", [whole, *names], [value]))


def _run(model: Any, inputs: list[Any]) -> list[Any]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    # A session for a few runs: optimising it would take longer than running it.
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: image})[0] for image in inputs]
