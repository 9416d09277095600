"""TVM: Apache's compiler, which makes a library for the processor at hand from ONNX. Untuned, it is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Session, shapes_of
from segship.core.errors import BackendError, MissingExtraError, engine_errors
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Graph
    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="TVM",
    graph="onnx",
    precisions=("fp32",),
    extra="tvm",
    modules=("tvm",),
    opset=18,
    plain=17,
    dynamic=False,
    threads="",
    parallel=False,
    runs_code="a library holds compiled machine code",
    options={"target": EngineOption(str, "what it compiles for, as TVM writes it; llvm by default")},
    elsewhere="on the machine it was compiled for, segship verify SOURCE CHECKPOINT PACKAGE does it",
    gaps={
        "dynamic": "it is compiled for one size",
        "fp16": "on processors it is not faster",
        "bf16": "on processors it is not faster",
        "int8": "Relax reads no QDQ graphs",
        "environment": "it wants typing_extensions 4.13 or newer, and litert-torch an older one: not beside litert",
        "speed": "it is compiled untuned: MMDeploy's ansor and autotvm are gone with Relay",
    },
)

_FILE = "model.so"


def _load() -> Any:
    try:
        import tvm
        from tvm import relax
    except (ImportError, OSError) as error:
        raise MissingExtraError("TVM", "tvm", "tvm") from error
    return tvm, relax


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Compile a library, by Relax's pipeline without tuning.

    Args:
        graph: Of one size.
        target: Its option ``target`` says what for.
        directory: Where the library goes.

    Raises:
        BackendError: TVM does not know an operator, or there is no C++ compiler to link with.
    """
    tvm, relax = _load()
    import onnx
    from tvm.relax.frontend.onnx import from_onnx

    with engine_errors("TVM cannot compile the network"):
        shape = {each.name: list(each.shape) for each in graph.inputs}
        module = from_onnx(onnx.load(graph.path), shape_dict=shape, keep_params_in_input=False)
        module = relax.get_pipeline("zero")(relax.transform.DecomposeOpsForInference()(module))
        chosen = target.options.get("target", "llvm")
        made = tvm.compile(module, target=tvm.target.Target({"kind": "llvm"} if chosen == "llvm" else chosen))
        made.export_library(str(directory / _FILE))
    return Engine(directory, (_FILE,), graph.inputs, graph.outputs)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a library.

    Args:
        engine: Its first file is the library.
        device: ``cpu``.
        threads: $TVM_NUM_THREADS says how many; anything but None is an error.

    Raises:
        BackendError: It is no library of this TVM, or the device is another.
    """
    if device != "cpu":
        raise BackendError(f"no device is called {device!r}: TVM's libraries are opened on cpu")
    if threads is not None:
        raise BackendError("TVM takes its threads from $TVM_NUM_THREADS: leave --threads out")
    tvm, relax = _load()
    path = engine.directory / engine.files[0]
    with engine_errors(f"TVM cannot open {path}"):
        library = tvm.runtime.load_module(str(path))
        machines = Pool(lambda: relax.VirtualMachine(library, tvm.cpu()))
    name, output = engine.inputs[0].name, engine.outputs[0].name

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = np.ascontiguousarray(feeds[name], np.float32)
        with machines.lend() as machine, engine_errors(f"TVM refuses the input {shapes_of(feeds)}"):
            found = machine["main"](tvm.runtime.tensor(image))
            found = found if hasattr(found, "numpy") else found[0]
            return {output: np.array(found.numpy(), np.float32)}

    return OpenSession("TVM", run)


def probe() -> tuple[Device, ...]:
    """The processor, where TVM is installed."""
    try:
        tvm, _ = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    return (Device("cpu", usable=True, note=f"tvm {tvm.__version__}"),)
