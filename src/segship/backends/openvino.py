"""OpenVINO: Intel's engine for processors, GPUs and NPUs."""

from __future__ import annotations

import re
import threading
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session, TensorInfo, shapes_of
from segship.core.compiled import compiled_folder
from segship.core.errors import BackendError, MissingExtraError, SegshipWarning, engine_errors, one_line
from segship.core.plan import METADATA
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "inspect", "open", "probe"]

INFO = BackendInfo(
    title="OpenVINO",
    graph="onnx",
    precisions=("fp32", "fp16", "bf16", "int8"),
    lowered=("int8",),
    mixed=("bf16", "fp16"),
    emulated=lambda precision: _emulated(precision),  # noqa: PLW0108  (it is defined below)
    extra="openvino",
    modules=("openvino",),
    suffixes=(".xml",),
    passes=("pool_to_convolution", "exact_summands", "unsigned_activations"),
    int8_passes=("normalize_convolutions",),
    is_source=True,
    mmdeploy=True,
    parallel=False,
    throughput="throughput",
    reads=("openvino_ir",),
    # bf16 and fp16 are hints for the whole graph, and positions of pixels cannot be told in so few bits.
    embed=("fp32", "int8"),
)

_MODEL, _WEIGHTS = "model.xml", "model.bin"
# Left to itself, OpenVINO computes in bfloat16 wherever the processor has it. fp32 must mean fp32, and what int8 leaves
# in floating point must not become something else.
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
# The bindings set themselves up on the first array they see; two threads that do so at once may wait for each other
# forever.
_FIRST = threading.Lock()
_DEVICES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU", "auto": "AUTO"}
_LARGEST_TEXT = 2**28  # bytes; a transformer with a thousand layers takes a hundredth of it
_DEEPEST = 200
_INFO = "model_info."  # what others' libraries read of a model
_STANDARD = re.compile(r"opset\d+")


def _load() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("OpenVINO", "openvino", "openvino") from error
    return openvino


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Write the graph in OpenVINO's own format: it opens faster, and weights of 16 bits take half the room.

    Args:
        graph: float32, or int8 (QDQ) where the target says so; ONNX, or a model of OpenVINO's already.
        target: Precision and shape.
        directory: Where the files go.

    Raises:
        BackendError: OpenVINO cannot read the graph.
    """
    openvino = _load()
    with engine_errors("OpenVINO cannot convert the graph", last=True):
        model = openvino.Core().read_model(str(graph.path))
        for key, text in graph.metadata.items():
            model.set_rt_info(text, key.split(".", 1) if key.startswith(_INFO) else [key])
        openvino.save_model(model, str(directory / _MODEL), compress_to_fp16=target.precision == "fp16")
    if graph.kept:
        _keep_precise(directory / _MODEL, graph.kept)
    return Engine(directory, (_MODEL, _WEIGHTS), graph.inputs, graph.outputs, {"precision": target.precision})


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a model.

    Args:
        engine: Its first file is the model.
        device: ``cpu``, ``gpu``, ``gpu:1``, ``npu``, ``auto``; with ``,throughput`` behind it, several requests share
            the device, which serves more images in a second and each of them later.
        threads: On the processor; None: OpenVINO's own choice.

    Raises:
        BackendError: The device is unknown, not there or has no threads to set, or the files cannot be opened.
    """
    openvino = _load()
    name, mode = _device(device)
    options: dict[str, Any] = {"PERFORMANCE_HINT": mode}
    precision = str(engine.options.get("precision", "fp32"))
    if precision not in _HINTS:
        raise BackendError(f"the engine's precision is {precision!r:.60}, expected one of {', '.join(_HINTS)}")
    if name != "NPU":  # which always computes in float16 and refuses the hint
        options["INFERENCE_PRECISION_HINT"] = _HINTS[precision]
    if threads is not None:
        if name != "CPU":
            raise BackendError(f"OpenVINO can be told its threads on cpu only, not on {device}: leave them out")
        options["INFERENCE_NUM_THREADS"] = threads
    path = engine.directory / engine.files[0]
    with _FIRST:
        openvino.Tensor(np.zeros(1, np.float32))
    core = openvino.Core()
    if name.partition(".")[0] not in {*(found.partition(".")[0] for found in core.available_devices), "AUTO"}:
        have = ", ".join(found.lower() for found in core.available_devices)
        raise BackendError(f"OpenVINO finds no {device} here; it has {have}")
    with (
        engine_errors(f"OpenVINO cannot open {path}", last=True),
        compiled_folder(engine.cache, openvino.get_version(), path.resolve(), name, options) as folder,
    ):
        kept = {} if folder is None else {"CACHE_DIR": str(folder)}
        compiled = core.compile_model(str(path), name, options | kept)
    if name == "CPU" and (reason := _emulated(precision)):
        warnings.warn(reason, SegshipWarning, stacklevel=2)
    return OpenSession("OpenVINO", _Run(compiled, [tensor.name for tensor in engine.outputs]))


def _emulated(precision: str) -> str:
    """Why this processor computes in float32 what should be bfloat16; empty where it does not."""
    if precision != "bf16" or "BF16" in _abilities(_load().Core()):
        return ""
    return (
        "this processor has no bfloat16, and OpenVINO computes in float32 instead: neither time nor labels, nor a "
        "comparison with the network, say anything of bfloat16 here"
    )


def _keep_precise(path: Path, names: Collection[str]) -> None:
    """Mark layers that are computed in float32 whatever the hint says.

    The front end calls layers after nodes, or, of an output, after the value; and the parts of one ``NODE/PART``. A
    matrix product with weights loses the mark when OpenVINO makes its own layer of it.
    """
    tree = ET.parse(path)  # noqa: S314  (OpenVINO has just written it)
    for layer in tree.iter("layer"):
        name = layer.get("name", "")
        if name in names or name.partition("/")[0] in names:
            notes = layer.find("rt_info")
            notes = notes if notes is not None else ET.SubElement(layer, "rt_info")
            ET.SubElement(notes, "attribute", {"name": "precise", "version": "0"})
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _abilities(core: Any) -> list[str]:
    return list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What a model takes and returns, and what it says of itself: Segship's note, and ``model_info.NAME`` of others.

    The text is looked through before OpenVINO sees it.

    Raises:
        BackendError: It cannot be read, is no model, refers to what is not in its file of weights, or needs operators
            that OpenVINO itself has not.
    """
    openvino = _load()
    found = _look_through(path)
    with engine_errors(f"OpenVINO cannot open {path}", last=True):
        model = openvino.Core().read_model(str(path))
        inputs, outputs = (tuple(map(_tensor, ports)) for ports in (model.inputs, model.outputs))
        noted = {METADATA: str(model.get_rt_info([METADATA]).value)} if model.has_rt_info([METADATA]) else {}
    files = [file.name for file in (path, path.with_suffix(".bin")) if file.is_file()]
    return Engine(path.parent, tuple(files), inputs, outputs), found | noted


class _Text:
    """What a model's XML holds, found without building anything of it.

    Attributes:
        foreign: Layers that are not of OpenVINO's own operator sets.
        end: Bytes that its constants need of the file of weights.
        info: What stands under ``model_info``.
    """

    def __init__(self) -> None:
        self.foreign: set[str] = set()
        self.end = 0
        self.info: dict[str, str] = {}
        self._path: list[str] = []
        self._layer: str | None = None

    def begin(self, name: str, values: dict[str, str]) -> None:
        """An element begins."""
        if not self._path and (name != "net" or values.get("version") not in {"10", "11"}):
            raise ValueError(
                f"it holds <{name} version={values.get('version')!r}>, expected <net version='10' or '11'>"
            )
        if len(self._path) >= _DEEPEST:
            raise ValueError(f"elements are nested deeper than {_DEEPEST}")
        if name == "layer":
            self._layer, version = values.get("type"), values.get("version", "opset1")
            self.foreign |= set() if _STANDARD.fullmatch(version) else {f"{version}::{self._layer}"}
        elif name == "data" and self._layer == "Const":
            offset, size = int(values.get("offset", 0)), int(values.get("size", 0))
            if min(offset, size) < 0:
                raise ValueError(f"a constant lies at {offset}, with {size} bytes")
            self.end = max(self.end, offset + size)
        elif self._path[-2:] == ["rt_info", "model_info"]:
            self.info[f"model_info.{name}"] = values.get("value", "")
        self._path.append(name)

    def finish(self, name: str) -> None:
        """An element ends."""
        del name
        self._path.pop()


def _look_through(path: Path) -> dict[str, str]:
    """What a model's XML says of itself.

    Raises:
        BackendError: No honest file looks like it.
    """
    text, parser = _Text(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = text.begin, text.finish
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        _require_bearable(path.stat().st_size)
        with path.open("rb") as file:
            parser.ParseFile(file)
    except (expat.ExpatError, LookupError, ValueError) as error:  # an encoding that nobody knows is a LookupError
        raise BackendError(f"{path} is no model of OpenVINO: {error}") from None
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror or error}") from None
    if text.foreign:
        raise BackendError(f"{path} needs operators that are not OpenVINO's own: {', '.join(sorted(text.foreign))}")
    weights = path.with_suffix(".bin")
    have = weights.stat().st_size if weights.is_file() else 0
    if text.end > have:
        found = f"has {have}" if weights.is_file() else "is not there"
        raise BackendError(f"{path} needs {text.end} bytes of weights, but {weights.name} beside it {found}")
    return text.info


def _require_bearable(size: int) -> None:
    if size > _LARGEST_TEXT:
        raise ValueError(f"it has {size} bytes, more than any model's text")


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("it declares a document type, which can name files and entities; a model's text has none")


def _tensor(port: Any) -> TensorInfo:
    free = port.partial_shape.rank.is_dynamic
    sides = () if free else enumerate(port.partial_shape)
    shape = ("…",) if free else tuple(f"side-{axis}" if side.is_dynamic else side.get_length() for axis, side in sides)
    name = min(port.names) if port.names else port.node.friendly_name
    return TensorInfo(name=name, dtype=port.element_type.to_dtype().name, shape=shape)


def _device(device: str) -> tuple[str, str]:
    name, _, mode = device.partition(",")
    kind, _, index = name.partition(":")
    if kind not in _DEVICES or not (index.isdigit() or not index) or mode not in {"", "latency", "throughput"}:
        raise BackendError(
            f"no device is called {device!r}: {', '.join(_DEVICES)}, gpu:1 for the second GPU, "
            "cpu,throughput for the throughput mode"
        )
    return _DEVICES[kind] + (f".{index}" if index else ""), (mode or "latency").upper()


class _Run:
    """Runs requests, which each hold the inputs and outputs of one run."""

    def __init__(self, compiled: Any, outputs: list[str]) -> None:
        self._ports, self._outputs = compiled.outputs, outputs
        # More requests than it asks for would only wait inside of it.
        most = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = Pool(compiled.create_infer_request, most)

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        values = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
        with (
            self._requests.lend() as request,
            engine_errors(f"OpenVINO refuses the input {shapes_of(feeds)}", last=True),
        ):
            # It reads the inputs where they are. It owns its outputs and writes over them in its next run.
            results = request.infer(values, share_inputs=True, share_outputs=True)
            found = [np.array(results[port]) for port in self._ports]
        whole = [value if value.dtype.kind in "iu" else value.astype(np.float32, copy=False) for value in found]
        return dict(zip(self._outputs, whole, strict=True))


def probe() -> tuple[Device, ...]:
    """The devices OpenVINO finds."""
    try:
        openvino = _load()
        found = [name.lower().replace(".", ":") for name in openvino.Core().available_devices]
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    except RuntimeError as error:
        return (Device("cpu", usable=False, note=one_line(error, last=True)),)
    return tuple(Device(name, usable=True, note=f"openvino {openvino.__version__.partition('-')[0]}") for name in found)
