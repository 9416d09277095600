"""ExecuTorch: torch's engine for phones, computing with XNNPACK; the same file runs from C++, Android and iOS."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, engine_errors, one_line
from segship.core.sessions import OpenSession, Pool
from segship.core.versions import module_versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="ExecuTorch",
    graph="pt2",
    precisions=("fp32", "int8"),
    lowered=("int8",),
    quantizer="torchao",
    extra="executorch",
    modules=("executorch", "torch"),
    dynamic=False,
    threads="process",
    parallel=False,
    gaps={
        "fp16": "XNNPACK computes it on ARM processors only, so that what runs there is not what was verified here",
        "bf16": "XNNPACK has only few operators for it",
        "dynamic": "it plans its memory at export and wants bounds for every size, which networks of free sizes lack",
        "torch-free": "its Python runtime loads torch's libraries; on devices the file needs ExecuTorch alone",
    },
)

_FILE, _METHOD = "model.pte", "forward"
_OPEN: weakref.WeakSet[_Run] = weakref.WeakSet()


def _load() -> Any:
    try:
        import torch  # noqa: F401  (before its own libraries, which link against torch's)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls its interface experimental
            from executorch import runtime
            from executorch.extension.pybindings import portable_lib  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: built for another torch
        raise MissingExtraError("ExecuTorch", "executorch", "executorch") from error
    return runtime


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Lower the program to XNNPACK; the few operators that it lacks run on ExecuTorch's own kernels.

    Args:
        graph: A program of torch.export, captured at the target's size.
        target: What is built; nothing here depends on it.
        directory: Where the file goes.

    Raises:
        BackendError: ExecuTorch cannot lower the program.
    """
    del target
    _load()
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from segship.backends._xnnpack import for_xnnpack

    with engine_errors("ExecuTorch cannot lower the program"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = for_xnnpack(torch.export.load(str(graph.path)))
        # The metadata become methods that return a text: the file has no other room for them.
        edge = to_edge_transform_and_lower(
            program, partitioner=[XnnpackPartitioner()], constant_methods=dict(graph.metadata)
        )
        content = edge.to_executorch().buffer
    (directory / _FILE).write_bytes(content)
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a ``.pte`` file.

    Args:
        engine: Its first file is the program.
        device: ``cpu``.
        threads: Of ExecuTorch, in the whole process; None: as it is.

    Raises:
        BackendError: The device is unknown, the file cannot be opened, or an open session has another number of
            threads.
    """
    runtime = _load()
    if device != "cpu":
        raise BackendError(f"no device is called {device!r}: ExecuTorch runs on cpu here")
    if threads is not None:
        _set_threads(threads)
    path = engine.directory / engine.files[0]
    with engine_errors(f"ExecuTorch cannot open {path}"):
        method = runtime.Runtime.get().load_program(path).load_method(_METHOD)
    if method is None:
        raise BackendError(f"ExecuTorch cannot open {path}: it has no method {_METHOD!r}")
    run = _Run(method, engine)
    _OPEN.add(run)
    return OpenSession("ExecuTorch", run)


def _set_threads(threads: int) -> None:
    from executorch.extension.pybindings import portable_lib

    have = portable_lib._threadpool_get_thread_count()  # noqa: SLF001  (no other way)
    if have == threads:
        return
    if _OPEN:
        raise BackendError(
            f"ExecuTorch has one pool of threads for the whole process, and an open session uses it with {have}: close "
            f"that one before asking for {threads}"
        )
    portable_lib._unsafe_reset_threadpool(threads)  # noqa: SLF001


class _Run:
    """Runs one input at a time: with a method for each thread, runs took as long and more memory."""

    def __init__(self, method: Any, engine: Engine) -> None:
        self._methods = Pool(lambda: method)
        self._input, self._output = engine.inputs[0], engine.outputs[0]

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        import torch

        image = feeds[self._input.name]
        try:
            with self._methods.lend() as method:
                (found,) = method.execute([torch.from_numpy(np.ascontiguousarray(image, np.float32))])
                # The method may write its next output over this one.
                return {self._output.name: np.array(found.numpy(), np.float32)}
        except Exception as error:
            raise BackendError(
                f"ExecuTorch refuses the input {image.shape}: this engine was built for {self._input.shape} "
                f"({one_line(error)})"
            ) from error


def probe() -> tuple[Device, ...]:
    """The processor."""
    try:
        _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    versions = module_versions(("executorch",))
    note = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (Device("cpu", usable=True, note=f"{note}, XNNPACK"),)
