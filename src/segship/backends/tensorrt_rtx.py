"""TensorRT for RTX: NVIDIA's engine for RTX cards, built here without one and finished on the user's.

Its wheels (``tensorrt-rtx-cu13-libs`` and ``-bindings``) parse networks and build engines where no card and no driver
is. Engines have not been run: that needs a card, and the documented interface of version 1.7 for it is TensorRT's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segship.backends._profile import profile
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, engine_errors, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

_CAPABILITIES = ("SM75", "SM80", "SM86", "SM89", "SM120")

INFO = BackendInfo(
    title="TensorRT for RTX",
    graph="onnx",
    precisions=("fp32", "fp16", "int8"),
    lowered=("fp16", "int8"),
    symmetric=True,
    opset=20,
    extra="tensorrt-rtx",
    modules=("tensorrt_rtx_libs", "tensorrt_rtx_bindings"),
    runs_code="an engine holds compiled kernels for the GPU",
    default_device="cuda",
    threads="",
    parallel=False,
    unverified=True,
    options={
        "capability": EngineOption(str, "the kind of card that it is built for", choices=_CAPABILITIES, default="SM89"),
    },
    gaps={
        "tried": "parsed and built; nothing has run an engine yet, and this Segship does not open them",
        "bf16": "the graph would have to be rewritten in bfloat16; fp16 is as fast",
        "cpu": "it runs on NVIDIA's RTX cards only",
        "dynamic": "it wants bounds: without them, 32x32 to 2048x2048, tuned for 512x1024",
    },
)

_FILE = "model.rtx"


def _load() -> Any:
    try:
        importlib.import_module("tensorrt_rtx_libs")
        return importlib.import_module("tensorrt_rtx_bindings")
    except (ImportError, OSError) as error:
        raise MissingExtraError("TensorRT for RTX", "tensorrt-rtx", "tensorrt_rtx_bindings") from error


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Parse a graph and build an engine for one kind of card; no card is needed.

    Args:
        graph: float32, float16 or QDQ.
        target: Its shape gives the profile, its option ``capability`` the kind of card.
        directory: Where the engine goes.

    Raises:
        BackendError: The wheels are missing, or TensorRT refuses the network; the message is its own.
    """
    trt = _load()
    said = _listener(trt)
    with engine_errors("TensorRT for RTX cannot start"):
        builder = trt.Builder(said)
        network = builder.create_network(0)  # types are always the graph's own
        parser = trt.OnnxParser(network, said)
    if not parser.parse_from_file(str(graph.path)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        told = "; ".join(f"{each.node_operator()} {each.node_name()!r}: {one_line(each.desc())}" for each in errors)
        raise BackendError(f"TensorRT for RTX cannot read the graph: {told[:500] or said.last()}")
    capability = str(target.options.get("capability", INFO.options["capability"].default))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    least, typical, greatest = profile(graph.inputs[0], target.shape)
    bounds = builder.create_optimization_profile()
    bounds.set_shape(graph.inputs[0].name, least, typical, greatest)
    config.add_optimization_profile(bounds)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise BackendError(f"TensorRT for RTX cannot build the network for {capability}: {said.last()}")
    (directory / _FILE).write_bytes(memoryview(built))
    options = {"capability": capability, "profile": [list(least), list(typical), list(greatest)]}
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs, options | {"tensorrt_rtx": str(trt.__version__)})


def _listener(trt: Any) -> Any:
    class Listener(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error for our own message instead of printing it."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._last = "it does not say why"

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
                self._last = one_line(message)[:500]

        def last(self) -> str:
            return self._last

    return Listener()


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Refuse: engines are built here, and run by what opens them on the user's card.

    Args:
        engine: As `convert` made it.
        device: No device will do.
        threads: None.

    Raises:
        BackendError: Always.
    """
    del threads
    raise BackendError(
        f"{engine.directory / engine.files[0]} is for an RTX card, and this Segship builds such engines only: nothing "
        f"runs it on {device}"
    )


def probe() -> tuple[Device, ...]:
    """Engines are built here, not run."""
    try:
        version = _load().__version__
    except MissingExtraError as error:
        return (Device("cuda", usable=False, note=str(error)),)
    return (Device("cuda", usable=False, note=f"TensorRT for RTX {version} builds engines here and runs none"),)
