"""What NVIDIA's engines share: engines of either TensorRT are opened and run by the same functions.

Written against the documented interface of TensorRT 10 and 11 and of TensorRT for RTX 1.7 (tensors by name).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Session, shapes_of
from segship.core.errors import BackendError, MissingExtraError, engine_errors, one_line
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["capability", "gpus", "listener", "open_plan", "require_gpu"]

_LONGEST = 500  # characters of an error


def listener(trt: Any) -> Any:
    """A logger that keeps the last error for our own messages instead of printing it.

    Args:
        trt: The module of either TensorRT.
    """

    class Listener(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._last = "it does not say why"

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
                self._last = one_line(message)[:_LONGEST]

        def said(self) -> str:
            return self._last

    return Listener()


def open_plan(trt: Any, info: BackendInfo, engine: Engine, device: str) -> Session:
    """Open an engine on a GPU.

    Args:
        trt: The module of either TensorRT.
        info: Of the backend.
        engine: Its first file is the plan; its options tell the profile, and the version that built it under the name
            of the extra.
        device: As `require_gpu` takes it.

    Raises:
        BackendError: The device is not there, or the plan is of another version or another kind of GPU.
    """
    memory = _Memory(int(device.partition(":")[2] or 0), info)
    logger = listener(trt)
    path = engine.directory / engine.files[0]
    with engine_errors(f"{info.title} cannot open {path}"):
        opened = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if opened is None:
        built = engine.options.get(info.extra.replace("-", "_"), "unknown")
        raise BackendError(
            f"{info.title} cannot open {path}: {logger.said()}; it was built with {info.title} {built}, this is "
            f"{trt.__version__}: export the package again on this machine"
        )
    run = _Run(opened, memory, engine, info.title, logger)
    return OpenSession(info.title, run, run.release)


def require_gpu(info: BackendInfo, device: str, threads: int | None) -> None:
    """Insist on what a GPU takes.

    Args:
        info: Of the backend.
        device: ``cuda``, or ``cuda:1`` for the second GPU.
        threads: None: a GPU has none to set.

    Raises:
        BackendError: It is something else.
    """
    if threads is not None:
        raise BackendError(f"{info.title} runs on a GPU: leave --threads out")
    kind, _, index = device.partition(":")
    if kind not in {"cuda", "gpu"} or not (index.isdigit() or not index):
        raise BackendError(f"no device is called {device!r}: {info.title} runs on cuda, or cuda:1 for the second GPU")


def gpus(info: BackendInfo, version: str) -> tuple[Device, ...]:
    """The GPUs there are.

    Args:
        info: Of the backend.
        version: Of its TensorRT.
    """
    try:
        runtime = _cuda(info)
    except MissingExtraError as error:
        return (Device("cuda", usable=False, note=str(error)),)
    status, count = runtime.cudaGetDeviceCount()
    told = f"{info.title} {version}"
    if status != runtime.cudaError_t.cudaSuccess or not count:
        return (Device("cuda", usable=False, note=f"{told}, but no NVIDIA GPU with a driver is here"),)
    return tuple(Device(f"cuda:{index}", usable=True, note=told) for index in range(count))


def capability(info: BackendInfo, index: int) -> str:
    """The kind of a GPU, as in ``SM89``.

    Args:
        info: Of the backend.
        index: Its number.
    """
    runtime = _cuda(info)
    names = runtime.cudaDeviceAttr
    parts = (names.cudaDevAttrComputeCapabilityMajor, names.cudaDevAttrComputeCapabilityMinor)
    return "SM" + "".join(str(_called(runtime, runtime.cudaDeviceGetAttribute, part, index)) for part in parts)


def _called(cuda: Any, function: Any, *values: Any) -> Any:
    """What a function of CUDA returns.

    Raises:
        BackendError: It tells an error.
    """
    status, *found = function(*values)
    if status != cuda.cudaError_t.cudaSuccess:
        _, text = cuda.cudaGetErrorString(status)
        raise BackendError(f"CUDA: {function.__name__} says {text.decode() if text else status}")
    return found[0] if found else None


def _cuda(info: BackendInfo) -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise MissingExtraError(info.title, info.extra, "cuda.bindings") from error
    return runtime


class _Memory:
    """Buffers on one GPU that grow and are freed at the end, and one stream for all work."""

    def __init__(self, index: int, info: BackendInfo) -> None:
        self._cuda = _cuda(info)
        self._buffers: dict[str, tuple[int, int]] = {}
        self._index = index
        self.use()
        self.stream = self._call(self._cuda.cudaStreamCreate)

    def use(self) -> None:
        """Make this GPU the thread's own."""
        self._call(self._cuda.cudaSetDevice, self._index)

    def _call(self, function: Any, *values: Any) -> Any:
        return _called(self._cuda, function, *values)

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

    def __init__(self, opened: Any, memory: _Memory, engine: Engine, title: str, logger: Any) -> None:
        self._title = title
        self._contexts, self._memory, self._logger = Pool(opened.create_execution_context), memory, logger
        self._input, self._output = engine.inputs[0].name, engine.outputs[0].name
        self._batch = int(engine.options["profile"][2][0])

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = np.ascontiguousarray(feeds[self._input], np.float32)
        with self._contexts.lend() as context, engine_errors(f"{self._title} refuses the input {shapes_of(feeds)}"):
            self._memory.use()
            parts = [
                self._run(context, image[start : start + self._batch]) for start in range(0, len(image), self._batch)
            ]
        return {self._output: parts[0] if len(parts) == 1 else np.concatenate(parts)}

    def _run(self, context: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
        memory = self._memory
        if not context.set_input_shape(self._input, image.shape):
            raise BackendError(
                f"{self._title} refuses the input {image.shape}, which is outside its profile: {self._logger.said()}"
            )
        source = memory.buffer(self._input, image.nbytes)
        found = np.empty(tuple(context.get_tensor_shape(self._output)), np.float32)
        destination = memory.buffer(self._output, found.nbytes)
        context.set_tensor_address(self._input, source)
        context.set_tensor_address(self._output, destination)
        memory.to_device(source, image)
        if not context.execute_async_v3(int(memory.stream)):
            raise BackendError(f"{self._title} did not finish: {self._logger.said()}")
        memory.to_host(found, destination)
        memory.wait()
        return found

    def release(self) -> None:
        """Free the GPU's memory once the run under way has ended."""
        with self._contexts.lend():
            self._memory.release()
