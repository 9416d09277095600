"""TorchScript: a traced network, frozen and optimised; runs in libtorch from C++ without Python."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from segship.backends._torch import devices, load, noted, torch_session
from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import engine_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.target import Target

__all__ = ["INFO", "convert", "inspect", "open", "probe"]

INFO = BackendInfo(
    title="TorchScript",
    graph="torchscript",
    precisions=("fp32",),
    extra="export",
    modules=("torch",),
    suffixes=(".pt", ".ts"),
    gaps={
        "fp16": "torch computes float16 on processors slower than float32; for a GPU take onnxruntime",
        "bf16": "tracing fixes the types of constants",
        "int8": "torch no longer quantises TorchScript",
        "wrong-size": "a traced network runs at sizes it was not built for; the package checks them instead",
    },
)

_FILE = "model.pt"
_WHAT = "TorchScript"


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
    torch = load(_WHAT)
    with engine_errors("torch cannot freeze the graph"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, which those who ask for it know
        module = torch.jit.freeze(torch.jit.load(str(graph.path), map_location="cpu").eval())
        torch.jit.save(module, str(directory / _FILE), _extra_files=dict(graph.metadata))
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a TorchScript file.

    Args:
        engine: Its first file is the module.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        threads: Of torch in each run; None: as torch is set.

    Raises:
        BackendError: The device is not there, or the file cannot be opened.
    """
    torch = load(_WHAT)
    path = engine.directory / engine.files[0]
    with engine_errors(f"torch cannot open {path} on {device}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not `optimize_for_inference`: its memory layout has no adaptive pooling to sizes that do not divide.
        module = torch.jit.load(str(path), map_location=device).eval()
    return torch_session(torch, module, engine, INFO.title, device=device, threads=threads)


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What Segship noted in a file; the format does not tell inputs and outputs.

    Raises:
        BackendError: It is no file of torch's.
    """
    return Engine(path.parent, (path.name,), (), ()), noted(path)


def probe() -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds."""
    return devices(_WHAT)
