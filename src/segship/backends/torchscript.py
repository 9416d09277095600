"""TorchScript: a traced network, frozen and optimised; runs in libtorch from C++ without Python."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="TorchScript",
    graph="torchscript",
    precisions=("fp32",),
    extra="export",
    modules=("torch",),
    gaps={
        "fp16": "torch computes float16 on processors slower than float32; for a GPU take onnxruntime",
        "bf16": "tracing fixes the types of constants",
        "int8": "torch no longer quantises TorchScript",
        "wrong-size": "a traced network runs at sizes it was not built for; the package checks them instead",
    },
)

_FILE = "model.pt"


def _load() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("TorchScript", "export", "torch") from error
    return torch


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Freeze the traced network, which folds constants and normalisations, and write it.

    Args:
        graph: TorchScript.
        target: What is built; nothing here depends on it.
        directory: Where the file goes.

    Raises:
        BackendError: torch cannot read the graph.
    """
    del target
    torch = _load()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, which those who ask for it know
            module = torch.jit.freeze(torch.jit.load(str(graph.path), map_location="cpu").eval())
            torch.jit.save(module, str(directory / _FILE), _extra_files=dict(graph.metadata))
    except Exception as error:
        raise BackendError(f"torch cannot freeze the graph: {_first_line(error)}") from error
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = "cpu", threads: int | None = None) -> Session:  # noqa: A001
    """Open a TorchScript file.

    Args:
        engine: Its first file is the module.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        threads: Of torch, in the whole process; None: as it is.

    Raises:
        BackendError: The device is not there, or the file cannot be opened.
    """
    torch = _load()
    path = engine.directory / engine.files[0]
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not `optimize_for_inference`: its memory layout has no adaptive pooling to sizes that do not divide.
            module = torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:
        raise BackendError(f"torch cannot open {path} on {device}: {_first_line(error)}") from error
    return _Session(torch, module, device, [tensor.name for tensor in engine.outputs])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


class _Session:
    def __init__(self, torch: Any, module: Any, device: str, outputs: list[str]) -> None:
        self._torch, self._module, self._device, self._outputs = torch, module, device, outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = [torch.from_numpy(value).to(self._device) for value in feeds.values()]
                found = self._module(*tensors)
        except Exception as error:
            shapes = {name: value.shape for name, value in feeds.items()}
            raise BackendError(f"TorchScript refuses the input {shapes}: {_first_line(error)}") from error
        values = found if isinstance(found, tuple) else (found,)
        return {name: value.float().cpu().numpy() for name, value in zip(self._outputs, values, strict=True)}


def probe() -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds."""
    try:
        torch = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    note = f"torch {torch.__version__}"
    gpus = [Device(f"cuda:{index}", usable=True, note=note) for index in range(torch.cuda.device_count())]
    return (Device("cpu", usable=True, note=note), *gpus)
