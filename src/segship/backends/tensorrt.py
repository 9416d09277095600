"""TensorRT: NVIDIA's engine for its GPUs, built from the same ONNX file.

Written against the documented interface of TensorRT 10 and 11 (strongly typed networks, tensors by name). An engine is
built for the kind of GPU that builds it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends._profile import profile
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session, shapes_of
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.files import cache_folder, write_atomically
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe", "profile"]

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
    logger = _logger(trt)
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


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps the errors for our own messages instead of printing them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
                self._errors.append(message)

        def said(self) -> str:
            return self._errors[-1][:300] if self._errors else "it does not say why"

    return Logger()


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a plan.

    Args:
        engine: Its first file is the plan.
        device: ``cuda``, or ``cuda:1`` for the second GPU.
        threads: A GPU has none to set; anything but None is an error.

    Raises:
        BackendError: The device is not there, or the plan is of another TensorRT or another kind of GPU.
    """
    if threads is not None:
        raise BackendError("TensorRT runs on a GPU: leave --threads out")
    kind, _, index = device.partition(":")
    if kind not in {"cuda", "gpu"} or not (index.isdigit() or not index):
        raise BackendError(f"no device is called {device!r}: TensorRT runs on cuda, or cuda:1 for the second GPU")
    trt = _load()
    memory = _Memory(int(index or 0))
    logger = _logger(trt)
    path = engine.directory / engine.files[0]
    with engine_errors(f"TensorRT cannot open {path}"):
        opened = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if opened is None:
        built = engine.options.get("tensorrt", "unknown")
        raise BackendError(
            f"TensorRT cannot open {path}: {logger.said()}; it was built with TensorRT {built}, this is "
            f"{trt.__version__}: export the package again on this machine"
        )
    run = _Run(opened, memory, engine, logger)
    return OpenSession("TensorRT", run, run.release)


class _Memory:
    """Buffers on one GPU that grow and are freed at the end, and one stream for all work."""

    def __init__(self, index: int) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise MissingExtraError("TensorRT", "tensorrt", "cuda.bindings") from error
        self._cuda = runtime
        self._buffers: dict[str, tuple[int, int]] = {}
        self._index = index
        self.use()
        self.stream = self._call(runtime.cudaStreamCreate)

    def use(self) -> None:
        """Make this GPU the thread's own."""
        self._call(self._cuda.cudaSetDevice, self._index)

    def _call(self, function: Any, *values: Any) -> Any:
        status, *found = function(*values)
        if status != self._cuda.cudaError_t.cudaSuccess:
            _, text = self._cuda.cudaGetErrorString(status)
            raise BackendError(f"CUDA: {function.__name__} says {text.decode() if text else status}")
        return found[0] if found else None

    def buffer(self, name: str, size: int) -> int:
        """The address of at least ``size`` bytes."""
        address, have = self._buffers.get(name, (0, 0))
        if have < size:
            if address:
                self._call(self._cuda.cudaFree, address)
            address = int(self._call(self._cuda.cudaMalloc, size))
            self._buffers[name] = (address, size)
        return address

    def release(self) -> None:
        """Free the buffers and the stream."""
        self.use()
        for address, _ in self._buffers.values():
            self._call(self._cuda.cudaFree, address)
        self._buffers.clear()
        self._call(self._cuda.cudaStreamDestroy, self.stream)

    def to_device(self, address: int, array: NDArray[Any]) -> None:
        """Copy ``array``, which must be contiguous, to ``address``."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(self._cuda.cudaMemcpyAsync, address, array.ctypes.data, array.nbytes, kind, self.stream)

    def to_host(self, array: NDArray[Any], address: int) -> None:
        """Fill ``array`` from ``address``."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(self._cuda.cudaMemcpyAsync, array.ctypes.data, address, array.nbytes, kind, self.stream)

    def wait(self) -> None:
        """Until all work is done."""
        self._call(self._cuda.cudaStreamSynchronize, self.stream)


class _Run:
    """Runs one image, or a batch, at a time: a second context would take as much memory and wait for the same GPU."""

    def __init__(self, opened: Any, memory: _Memory, engine: Engine, logger: Any) -> None:
        self._contexts, self._memory, self._logger = Pool(opened.create_execution_context), memory, logger
        self._input, self._output = engine.inputs[0].name, engine.outputs[0].name
        self._batch = int(engine.options["profile"][2][0])

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = np.ascontiguousarray(feeds[self._input], np.float32)
        with self._contexts.lend() as context, engine_errors(f"TensorRT refuses the input {shapes_of(feeds)}"):
            self._memory.use()
            parts = [
                self._run(context, image[start : start + self._batch]) for start in range(0, len(image), self._batch)
            ]
        return {self._output: parts[0] if len(parts) == 1 else np.concatenate(parts)}

    def _run(self, context: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
        memory = self._memory
        if not context.set_input_shape(self._input, image.shape):
            raise BackendError(
                f"TensorRT refuses the input {image.shape}, which is outside its profile: {self._logger.said()}"
            )
        source = memory.buffer(self._input, image.nbytes)
        found = np.empty(tuple(context.get_tensor_shape(self._output)), np.float32)
        destination = memory.buffer(self._output, found.nbytes)
        context.set_tensor_address(self._input, source)
        context.set_tensor_address(self._output, destination)
        memory.to_device(source, image)
        if not context.execute_async_v3(int(memory.stream)):
            raise BackendError(f"TensorRT did not finish: {self._logger.said()}")
        memory.to_host(found, destination)
        memory.wait()
        return found

    def release(self) -> None:
        """Free the GPU's memory once the run under way has ended."""
        with self._contexts.lend():
            self._memory.release()


def probe() -> tuple[Device, ...]:
    """The GPUs there are."""
    try:
        version = _load().__version__
        from cuda.bindings import runtime
    except MissingExtraError as error:
        return (Device("cuda", usable=False, note=str(error)),)
    except ImportError:
        return (Device("cuda", usable=False, note=str(MissingExtraError("TensorRT", "tensorrt", "cuda.bindings"))),)
    status, count = runtime.cudaGetDeviceCount()
    if status != runtime.cudaError_t.cudaSuccess or not count:
        return (Device("cuda", usable=False, note=f"TensorRT {version}, but no NVIDIA GPU with a driver is here"),)
    return tuple(Device(f"cuda:{index}", usable=True, note=f"TensorRT {version}") for index in range(count))
