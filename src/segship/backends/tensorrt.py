"""TensorRT: NVIDIA's engine for its GPUs, built from the same ONNX file.

Written against the documented interface of TensorRT 10 and 11 (strongly typed networks, tensors by name). An engine is
built for the kind of GPU that builds it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from segship.backends import _nvidia
from segship.backends._profile import profile
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.files import cache_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe", "profile"]


def _unbuildable() -> str:
    """Why no GPU here builds an engine."""
    devices = probe()
    if any(device.usable for device in devices):
        return ""
    return f"TensorRT engines are built by the GPU that runs them, and none is usable here: {devices[0].note}"


INFO = BackendInfo(
    title="TensorRT",
    graph="onnx",
    precisions=("fp32", "fp16", "int8"),
    lowered=("fp16", "int8"),
    symmetric=True,
    opset=20,
    extra="tensorrt",
    modules=("tensorrt",),
    runs_code="a plan holds compiled kernels for the GPU",
    default_device="cuda",
    threads="",
    parallel=False,
    options={
        "workspace": EngineOption(int, "MiB of GPU memory its builder may try kernels with; all by default", minimum=1)
    },
    elsewhere="on a machine with the GPU, segship verify SOURCE CHECKPOINT PACKAGE does it",
    unbuildable=_unbuildable,
    gaps={
        "tried": "written against NVIDIA's documentation; its tests need a GPU and skip without one",
        "bf16": "the graph would have to be rewritten in bfloat16; fp16 is as fast",
        "cpu": "it runs on NVIDIA's GPUs only, and a plan on the kind of GPU that built it",
        "dynamic": "it wants bounds: without them, 32x32 to 2048x2048, tuned for 512x1024; up to 4 images at once, "
        "larger batches are cut",
    },
)

_FILE = "model.plan"
_MEBI = 2**20


def _load() -> Any:
    try:
        import tensorrt
    except (ImportError, OSError) as error:  # OSError: its libraries are not there
        raise MissingExtraError("TensorRT", "tensorrt", "tensorrt") from error
    return tensorrt


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Build a plan for the GPU that is here.

    Types are those of the graph (float16 and QDQ graphs come lowered), and float32 is float32: TF32 is off. How long
    kernels take is remembered between builds, in ``tensorrt`` of the cache folder.

    Args:
        graph: float32, float16 or QDQ.
        target: Its shape gives the profile, its option ``workspace`` the builder's limit.
        directory: Where the plan goes.

    Raises:
        BackendError: There is no GPU, or TensorRT cannot build the network; the message is TensorRT's.
    """
    trt = _load()
    logger = _nvidia.listener(trt)
    least, typical, greatest = profile(graph.inputs[0], target.shape)
    with engine_errors("TensorRT cannot build an engine: is there an NVIDIA GPU with its driver?"):
        builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph.path)):
        said = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise BackendError(f"TensorRT cannot read the graph: {said[:300] or logger.said()}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if "workspace" in target.options:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(target.options["workspace"]) * _MEBI)
    bounds = builder.create_optimization_profile()
    bounds.set_shape(graph.inputs[0].name, least, typical, greatest)
    config.add_optimization_profile(bounds)
    with _timing_cache(trt, config):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"TensorRT cannot build the network: {logger.said()}")
    (directory / _FILE).write_bytes(memoryview(plan))
    options = {"profile": [list(least), list(typical), list(greatest)], "tensorrt": str(trt.__version__)}
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs, options)


@contextlib.contextmanager
def _timing_cache(trt: Any, config: Any) -> Iterator[None]:
    """Lend the builder what earlier builds measured, and keep what this one measures.

    TensorRT itself refuses measurements of another GPU or version; then it begins anew.
    """
    path = cache_folder() / "tensorrt" / f"timing-{trt.__version__}"
    known = path.read_bytes() if path.is_file() else b""
    if not known or not config.set_timing_cache(config.create_timing_cache(known), False):  # noqa: FBT003
        config.set_timing_cache(config.create_timing_cache(b""), False)  # noqa: FBT003
    yield
    measured = config.get_timing_cache()
    if measured is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, bytes(memoryview(measured.serialize())))


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a plan.

    Args:
        engine: Its first file is the plan.
        device: ``cuda``, or ``cuda:1`` for the second GPU.
        threads: A GPU has none to set; anything but None is an error.

    Raises:
        BackendError: The device is not there, or the plan is of another TensorRT or another kind of GPU.
    """
    _nvidia.require_gpu(INFO, device, threads)
    return _nvidia.open_plan(_load(), INFO, engine, device)


def probe() -> tuple[Device, ...]:
    """The GPUs there are."""
    try:
        return _nvidia.gpus(INFO, str(_load().__version__))
    except MissingExtraError as error:
        return (Device("cuda", usable=False, note=str(error)),)
