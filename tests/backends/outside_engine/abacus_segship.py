"""A backend of another distribution: ONNX files, computed by ONNX's reference on a device that it calls host."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session, TensorInfo
from segship.core.errors import BackendError, engine_errors
from segship.core.sessions import OpenSession
from segship.core.target import Target

INFO = BackendInfo(
    title="Abacus",
    graph="onnx",
    precisions=("fp32",),
    extra="",
    modules=("onnx",),
    suffixes=(".abacus",),
    default_device="host",
    threads="",
    options={"beads": EngineOption(int, "how many beads a wire has", minimum=1)},
    opset=20,
)


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Take the file as it is."""
    shutil.copyfile(graph.path, directory / "model.abacus")
    return Engine(directory, ("model.abacus",), graph.inputs, graph.outputs, {"beads": target.options.get("beads", 10)})


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:  # noqa: A001
    """Open a file."""
    from onnx.reference import ReferenceEvaluator

    if device != INFO.default_device or threads is not None:
        raise BackendError("Abacus runs on host, and has no threads")
    path = engine.directory / engine.files[0]
    with engine_errors(f"Abacus cannot open {path}"):
        evaluator = ReferenceEvaluator(str(path))

    def run(feeds: Mapping[str, Any]) -> dict[str, Any]:
        found = evaluator.run(None, {name: np.ascontiguousarray(value) for name, value in feeds.items()})
        return {tensor.name: value for tensor, value in zip(engine.outputs, found, strict=True)}

    return OpenSession(INFO.title, run)


def inspect(path: Path) -> tuple[Engine, Mapping[str, str]]:
    """What a file takes, returns and says of itself."""
    import onnx

    model = onnx.load(path)
    ends = []
    for values in (model.graph.input, model.graph.output):
        shapes = [[side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim] for value in values]
        ends.append(
            tuple(
                TensorInfo(name=value.name, dtype="float32", shape=tuple(shape))
                for value, shape in zip(values, shapes, strict=True)
            )
        )
    return Engine(path.parent, (path.name,), *ends), {item.key: item.value for item in model.metadata_props}


def probe() -> tuple[Device, ...]:
    """NumPy is always here."""
    return (Device("host", usable=True, note=f"NumPy {np.__version__}"),)
