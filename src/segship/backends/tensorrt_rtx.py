"""TensorRT for RTX: NVIDIA's engine for RTX cards, built here without one and finished on the user's.

Its wheels (``tensorrt-rtx-cu13-libs`` and ``-bindings``) parse networks and build engines where no card and no driver
is. Where a card of that kind is, they are run by the documented interface of version 1.7, which is TensorRT's own; no
card has run one yet.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from segship.backends import _nvidia
from segship.backends._profile import profile
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, engine_errors, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

_CAPABILITIES = ("SM75", "SM80", "SM86", "SM89", "SM120")


def _card() -> str:
    """The kind of the first card that is here; empty: there is none."""
    with contextlib.suppress(BackendError, MissingExtraError):
        return _nvidia.capability(INFO, 0)
    return ""


def _capability(options: Mapping[str, object]) -> str:
    """The kind of card that is meant: the one that is named, else the one that is here, else the default."""
    here = _card()
    return str(options.get("capability") or (here if here in _CAPABILITIES else INFO.options["capability"].default))


def _foreign(options: Mapping[str, object]) -> str:
    """Why the card that is here does not run an engine."""
    built, here = _capability(options), _card()
    return "" if built == here else f"it is built for {built}, and the card here is {here or 'none'}"


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
    foreign=_foreign,
    options={
        "capability": EngineOption(
            str,
            "the kind of card that it is built for; where one is here, that",
            choices=_CAPABILITIES,
            default="SM89",
        ),
    },
    gaps={
        "tried": "parsed and built; written to run by NVIDIA's documentation, and no card has run an engine yet",
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
    said = _nvidia.listener(trt)
    with engine_errors("TensorRT for RTX cannot start"):
        builder = trt.Builder(said)
        network = builder.create_network(0)  # types are always the graph's own
        parser = trt.OnnxParser(network, said)
    if not parser.parse_from_file(str(graph.path)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        told = "; ".join(f"{each.node_operator()} {each.node_name()!r}: {one_line(each.desc())}" for each in errors)
        raise BackendError(f"TensorRT for RTX cannot read the graph: {told[:500] or said.said()}")
    capability = _capability(target.options)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    least, typical, greatest = profile(graph.inputs[0], target.shape)
    bounds = builder.create_optimization_profile()
    bounds.set_shape(graph.inputs[0].name, least, typical, greatest)
    config.add_optimization_profile(bounds)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise BackendError(f"TensorRT for RTX cannot build the network for {capability}: {said.said()}")
    (directory / _FILE).write_bytes(memoryview(built))
    options = {"capability": capability, "profile": [list(least), list(typical), list(greatest)]}
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs, options | {"tensorrt_rtx": str(trt.__version__)})


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an engine on a card of the kind that it was built for.

    Args:
        engine: As `convert` made it.
        device: ``cuda``, or ``cuda:1`` for the second card.
        threads: A card has none to set; anything but None is an error.

    Raises:
        BackendError: The card is not there, or the engine is of another version or for another kind of card.
    """
    _nvidia.require_gpu(INFO, device, threads)
    return _nvidia.open_plan(_load(), INFO, engine, device)


def probe() -> tuple[Device, ...]:
    """The cards there are; engines are built where there is none, too."""
    try:
        version = str(_load().__version__)
    except MissingExtraError as error:
        return (Device("cuda", usable=False, note=str(error)),)
    found = _nvidia.gpus(INFO, version)
    if not found[0].usable or _card() in _CAPABILITIES:
        return found
    return (Device("cuda", usable=False, note=f"{INFO.title} {version} is for RTX cards, and this is {_card()}"),)
