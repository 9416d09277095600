"""RKNN: Rockchip's engine for the NPUs of its RK35 chips, converted and simulated by RKNN-Toolkit2.

The toolkit and its simulator run in an environment of their own (``segship doctor --setup rknn``). On a board,
``model.rknn`` alone is needed, and rknn-toolkit-lite2, whose documented interface is used here; without a board it has
not been tried.

Source: https://github.com/airockchip/rknn-toolkit2, the manuals of version 2.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import _simulated
from segship.core.artifacts import BackendInfo, Device, Engine, EngineOption, Graph, Session, shapes_of
from segship.core.errors import BackendError, engine_errors
from segship.core.sessions import OpenSession, Pool
from segship.toolchains import rknn_worker
from segship.toolchains.rknn import TOOLCHAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "WORKER", "convert", "engine_of", "open", "platform_of", "probe", "told"]

_PLATFORMS = ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588")

INFO = BackendInfo(
    title="RKNN",
    graph="onnx",
    precisions=("fp16", "int8"),
    lowered=("int8",),
    quantizer="rknn_toolkit",
    extra="",
    modules=(),
    dynamic=False,
    opset=20,
    plain=19,
    passes=("join_sigmoid",),
    int8_passes=("join_sigmoid",),
    unverified=True,
    unbuildable=lambda: _simulated.unbuildable(TOOLCHAIN),
    default_device="simulator",
    threads="",
    parallel=False,
    options={
        "platform": EngineOption(str, "the chip that the engine is built for", choices=_PLATFORMS, default="rk3588"),
        "algorithm": EngineOption(
            str,
            "how int8's ranges are found: all values, or those that lose least (mmse takes hours)",
            choices=("normal", "kl_divergence", "mmse"),
            default="normal",
        ),
    },
    gaps={
        "tried": "converted, and run on the toolkit's simulator; no board has run a package yet",
        "fp32": "the chips compute in float16 and int8",
        "bf16": "the chips compute in float16 and int8",
        "dynamic": "the toolkit builds for sizes that it is told",
        "speed": "the simulator computes what the chip does, not as fast: figures of time need a board",
    },
)

WORKER = Path(rknn_worker.__file__)
"""What runs in the toolkit's environment."""

_DEFAULTS = {name: str(option.default) for name, option in INFO.options.items()}
_ADVICE = (
    (
        re.compile(r"opset", re.IGNORECASE),
        "the graph is newer than the toolkit reads: export it again with this Segship",
    ),
    (
        re.compile(r"unsupport|not support|Unkown op|Unknown op", re.IGNORECASE),
        "the toolkit lacks that layer for this chip",
    ),
    (re.compile(r"has no program"), "the board's runtime would refuse the file: take another engine"),
    (re.compile(r"memory|alloc", re.IGNORECASE), "it does not fit: take a smaller --shape"),
)


def platform_of(options: Mapping[str, object], name: str = "platform") -> str:
    """The value of an option of a target or an engine, or its default."""
    return str(options.get(name, _DEFAULTS[name]))


def told(error: BackendError, chip: str) -> BackendError:
    """The toolkit's error with the chip's name and what to do."""
    return _simulated.advised(error, chip, _ADVICE)


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Convert a graph to float16.

    Args:
        graph: float32, static, of opset 19 at most.
        target: Its option ``platform`` names the chip.
        directory: Where ``model.rknn`` goes, and ``network.onnx``, of which the simulator builds it again.

    Raises:
        BackendError: The toolkit's environment is missing, or it refuses the network; nothing is left behind.
    """
    chip, directory = platform_of(target.options), directory.absolute()
    network = directory / rknn_worker.NETWORK
    shutil.copyfile(graph.path, network)
    try:
        left_out = _simulated.build(TOOLCHAIN, WORKER, (network, directory, chip), directory)
    except BackendError as error:
        raise told(error, chip) from None
    return engine_of(graph, directory, (rknn_worker.NETWORK,), chip, left_out)


def engine_of(
    graph: Graph, directory: Path, sources: tuple[str, ...], chip: str, left_out: Sequence[str] = ()
) -> Engine:
    """The engine in a folder where the toolkit has built it from ``sources``.

    Args:
        graph: What it computes.
        directory: The folder.
        sources: The files that it was built from.
        chip: The platform.
        left_out: The toolkit's own rules that fail on the network.
    """
    options = {"platform": chip, "toolkit": TOOLCHAIN.packages["rknn-toolkit2"]}
    if left_out:
        options["rules_left_out"] = ", ".join(left_out)
    return Engine(directory, (rknn_worker.ENGINE, *sources), graph.inputs, graph.outputs, options)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an engine.

    Args:
        engine: Its first file is what the board runs, the others are what the simulator builds.
        device: ``simulator``, or ``npu`` on a board.
        threads: The chip decides; anything but None is an error.

    Raises:
        BackendError: The device is unknown or not here, or the engine cannot be opened.
    """
    if threads is not None:
        raise BackendError("RKNN decides its threads itself: leave --threads out")
    if device == "npu":
        return _open_on_board(engine)
    if device != "simulator":
        raise BackendError(f"no device is called {device!r}: simulator, or npu on a board")
    return _simulated.open_simulator(INFO, TOOLCHAIN, WORKER, engine, platform_of(engine.options))


def _open_on_board(engine: Engine) -> Session:
    try:
        from rknnlite.api import RKNNLite  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendError(_no_board()) from error
    path = engine.directory / engine.files[0]
    lite = RKNNLite()
    for step, status in (("load_rknn", lambda: lite.load_rknn(str(path))), ("init_runtime", lite.init_runtime)):
        with engine_errors(f"RKNN cannot open {path}"):
            found = status()
        if found != 0:
            built = platform_of(engine.options)
            raise BackendError(f"RKNN cannot open {path}: {step} returned {found}; it was built for {built}")
    models = Pool(lambda: lite)  # one network on the chip is one thread's at a time
    source, output = engine.inputs[0].name, engine.outputs[0].name

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = np.ascontiguousarray(np.asarray(feeds[source], np.float32).transpose(0, 2, 3, 1))
        with models.lend() as model, engine_errors(f"RKNN refuses the input {shapes_of(feeds)}"):
            found = model.inference(inputs=[image], data_format=["nhwc"])
        if not found:
            raise BackendError(f"RKNN refuses the input {shapes_of(feeds)}: it returned nothing")
        return {output: np.array(found[0], np.float32)}

    return OpenSession("RKNN", run, lite.release)


def _no_board() -> str:
    return "no Rockchip board with rknn-toolkit-lite2 is here: pip install rknn-toolkit-lite2 on one"


def probe() -> tuple[Device, ...]:
    """The toolkit's simulator, and the chip of a board."""
    board = importlib.util.find_spec("rknnlite") is not None
    return (
        _simulated.simulator(TOOLCHAIN, "simulator"),
        Device("npu", usable=board, note="rknn-toolkit-lite2" if board else _no_board()),
    )
