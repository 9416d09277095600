"""QNN: Qualcomm's engine for the Hexagon tensor processors (HTP) of its Snapdragon chips, by onnxruntime-qnn.

Networks are compiled, and run on the emulator of the wheel for x86-64, in an environment of its own
(``segship doctor --setup qnn``). Where a chip is, onnxruntime and onnxruntime-qnn open the same two files in this
process, by their documented interface; without a chip that has not been tried.

Source: https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.backends import _simulated
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session, shapes_of
from segship.core.errors import BackendError, engine_errors
from segship.core.sessions import OpenSession
from segship.toolchains import qnn_worker
from segship.toolchains.qnn import TOOLCHAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "WORKER", "convert", "engine_of", "open", "probe", "settings_of", "told"]

_PASSES = ("join_hard_swish", "join_sigmoid", "flat_layer_norm", "one_batch", "turn_columns", "trim_taps")

INFO = BackendInfo(
    title="QNN",
    graph="onnx",
    precisions=("fp16", "int8"),
    lowered=("fp16", "int8"),
    quantizer="qnn_qdq",
    extra="",
    modules=(),
    dynamic=False,
    opset=20,
    plain=20,
    passes=_PASSES,
    int8_passes=(*_PASSES, "finite_masks"),
    unverified=True,
    unbuildable=lambda: _simulated.unbuildable(TOOLCHAIN),
    default_device="simulator",
    threads="",
    parallel=False,
    options={
        "htp_arch": EngineOption(
            str,
            "the generation of the chip's Hexagon processor: 73 is Snapdragon 8 Gen 2 and X Elite",
            choices=("68", "69", "73", "75", "79", "81"),
            default="73",
        ),
        "soc_model": EngineOption(int, "Qualcomm's number of the chip; without it, any of that generation", minimum=0),
        "htp_graph_finalization_optimization_mode": EngineOption(
            str, "how long it looks for a faster program, 3 the longest", choices=("0", "1", "2", "3"), default="0"
        ),
        "vtcm_mb": EngineOption(int, "MiB of the processor's own memory that are used; without it, all", minimum=1),
    },
    gaps={
        "tried": "compiled, and run on the emulator; no chip has run a package yet",
        "fp32": "the chips compute in float16 and in whole numbers of 8 and 16 bits",
        "bf16": "the chips compute in float16 and in whole numbers of 8 and 16 bits",
        "dynamic": "networks are compiled for one size",
        "speed": "the emulator computes what the chip does, not as fast: figures of time need a chip",
    },
)

WORKER = Path(qnn_worker.__file__)
"""What runs in the environment."""

_PROVIDER = "QNNExecutionProvider"
_NO_CHIP = "no onnxruntime-qnn is here, which runs packages on Qualcomm's chips: pip install onnxruntime-qnn there"
_ADVICE = (
    (re.compile(r"does not take"), "take another engine, or a network without that layer"),
    (re.compile(r"takes no layer"), "see segship doctor --engine qnn, and leave out what is not sure"),
    (
        re.compile(r"memory|alloc", re.IGNORECASE),
        "it does not fit, or has a layer that QNN cannot place: take a smaller --shape or another target",
    ),
)


def settings_of(options: Mapping[str, object]) -> dict[str, str]:
    """The provider's options of a target or an engine, with the defaults of those that have one."""
    given = {name: options.get(name, option.default) for name, option in INFO.options.items()}
    return {name: str(value) for name, value in given.items() if value is not None}


def told(error: BackendError, settings: Mapping[str, str]) -> BackendError:
    """The provider's error with the chip and what to do."""
    return _simulated.advised(error, f"htp_arch {settings['htp_arch']}", _ADVICE)


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Compile a graph, in float16.

    Args:
        graph: float32, static.
        target: Its options name the chip.
        directory: Where ``model.onnx`` and the context binary go.

    Raises:
        BackendError: The environment is missing, or a layer is not the chip's; nothing is left behind.
    """
    settings, directory = settings_of(target.options), directory.absolute()
    arguments = (graph.path.absolute(), directory, json.dumps(settings))
    try:
        _simulated.build(TOOLCHAIN, WORKER, arguments, directory)
    except BackendError as error:
        raise told(error, settings) from None
    return engine_of(graph, directory, settings)


def engine_of(graph: Graph, directory: Path, settings: Mapping[str, str], wide: Sequence[str] = ()) -> Engine:
    """The engine in a folder where a network has been compiled.

    Args:
        graph: What it computes.
        directory: The folder.
        settings: The provider's options.
        wide: Kinds of layers that have 16 bits in int8 from the start.
    """
    files = (qnn_worker.ENGINE, qnn_worker.BINARY)
    options = {**settings, "onnxruntime_qnn": TOOLCHAIN.packages["onnxruntime-qnn"]}
    if wide:
        options["of_16_bits"] = ", ".join(wide)
    return Engine(directory, files, graph.inputs, graph.outputs, options)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an engine.

    Args:
        engine: As `convert` or the quantizer made it.
        device: ``simulator``, or ``npu`` where a chip is.
        threads: The chip decides; anything but None is an error.

    Raises:
        BackendError: The device is unknown or not here, or the engine cannot be opened.
    """
    if threads is not None:
        raise BackendError("QNN decides its threads itself: leave --threads out")
    if device == "npu":
        return _open_on_chip(engine)
    if device != "simulator":
        raise BackendError(f"no device is called {device!r}: simulator, or npu where a Qualcomm chip is")
    return _simulated.open_simulator(INFO, TOOLCHAIN, WORKER, engine, json.dumps(settings_of(engine.options)))


def _open_on_chip(engine: Engine) -> Session:
    chip = _chip()
    import onnxruntime
    import onnxruntime_qnn  # type: ignore[import-not-found]

    path = engine.directory / engine.files[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    backend = {"backend_path": onnxruntime_qnn.get_qnn_htp_path()}
    with engine_errors(f"QNN cannot open {path}"):
        options.add_provider_for_devices([chip], backend | settings_of(engine.options))
        session = onnxruntime.InferenceSession(str(path), options)
    if _PROVIDER not in session.get_providers():
        raise BackendError(f"{path} would run on the processor: ONNX Runtime leaves {_PROVIDER} out")
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with engine_errors(f"QNN refuses the input {shapes_of(feeds)}"):
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return OpenSession("QNN", run)


@functools.cache
def _chip() -> Any:
    """The chip that onnxruntime-qnn offers in this process.

    Raises:
        BackendError: It is not installed, cannot be loaded, or offers none.
    """
    try:
        import onnxruntime
        import onnxruntime_qnn
    except ImportError as error:
        raise BackendError(_NO_CHIP) from error
    with engine_errors("ONNX Runtime cannot load onnxruntime-qnn"):
        onnxruntime.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    for place in onnxruntime.get_ep_devices():
        if place.ep_name == _PROVIDER and place.device.type == onnxruntime.OrtHardwareDeviceType.NPU:
            return place
    raise BackendError("onnxruntime-qnn is installed, and offers no NPU on this machine")


def probe() -> tuple[Device, ...]:
    """The emulator, and the chip of a device."""
    try:
        _chip()
        chip = Device("npu", usable=True, note="onnxruntime-qnn")
    except BackendError as error:
        chip = Device("npu", usable=False, note=str(error))
    return (_simulated.simulator(TOOLCHAIN, "HTP emulator"), chip)
