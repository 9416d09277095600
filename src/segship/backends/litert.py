"""LiteRT (TensorFlow Lite): ``.tflite`` files for phones, converted by litert-torch."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.sessions import OpenSession, Pool
from segship.core.versions import module_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="LiteRT",
    graph="pt2",
    precisions=("fp32", "int8"),
    lowered=("int8",),
    quantizer="ai_edge",
    extra="litert",
    modules=("ai_edge_litert", "litert_torch"),
    dynamic=False,
    gaps={
        "fp16": "its processor kernels compute in float32; a file of 16-bit weights is not offered yet",
        "bf16": "its kernels for processors have no bfloat16",
        "dynamic": "its memory is planned for one size; free sizes are an experiment of its converter",
        "environment": "litert-torch wants typing_extensions below 4.13, and so pydantic 2.11: an environment of "
        "its own is best for exporting; running needs ai-edge-litert alone",
        "gpu": "its delegates are part of the apps that use them; the same file runs there",
    },
)

_FILE = "model.tflite"


def _load() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise MissingExtraError("LiteRT", "litert", "ai_edge_litert") from error
    return interpreter


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Translate the program with litert-torch.

    Args:
        graph: A program of torch.export, captured at the target's size.
        target: What is built; nothing here depends on it.
        directory: Where the file goes.

    Raises:
        BackendError: litert-torch cannot translate the program.
    """
    del target
    _load()
    # Both report their progress on the standard streams.
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            import litert_torch
            import torch
        except ImportError as error:
            raise MissingExtraError("Exporting for LiteRT", "litert", "litert_torch") from error
        with engine_errors("litert-torch cannot translate the program"):
            program = torch.export.load(str(graph.path)).module(check_guards=False)
            example = torch.zeros(*(int(side) for side in graph.inputs[0].shape))
            litert_torch.convert(program, (example,)).export(str(directory / _FILE))
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a ``.tflite`` file.

    Args:
        engine: Its first file is the model.
        device: ``cpu``.
        threads: None: one for each core.

    Raises:
        BackendError: The device is unknown, or the file cannot be opened.
    """
    interpreter = _load()
    if device != "cpu":
        raise BackendError(f"no device is called {device!r}: LiteRT runs on cpu here")
    path = engine.directory / engine.files[0]

    def make() -> Any:
        model = interpreter.Interpreter(str(path), num_threads=threads or os.cpu_count())
        model.allocate_tensors()
        return model

    with engine_errors(f"LiteRT cannot open {path}"):
        return OpenSession("LiteRT", _Run(make, engine))


class _Run:
    """Gives each run an interpreter: two at a time take half the time of one after the other."""

    def __init__(self, make: Callable[[], Any], engine: Engine) -> None:
        self._models = Pool(make, os.cpu_count() or 1)
        self._input, self._output = engine.inputs[0].name, engine.outputs[0].name
        with self._models.lend() as model:
            self._source = model.get_input_details()[0]["index"]
            self._found = model.get_output_details()[0]["index"]

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = feeds[self._input]
        with self._models.lend() as model, engine_errors(f"LiteRT refuses the input {image.shape}"):
            model.set_tensor(self._source, np.ascontiguousarray(image, np.float32))
            model.invoke()
            # `get_tensor` copies: the next run does not write over it.
            return {self._output: np.asarray(model.get_tensor(self._found), np.float32)}


def probe() -> tuple[Device, ...]:
    """The processor."""
    try:
        _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    versions = module_versions(("ai_edge_litert",))
    return (Device("cpu", usable=True, note=", ".join(f"{name} {version}" for name, version in versions.items())),)
