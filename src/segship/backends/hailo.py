"""Hailo: the Dataflow Compiler quantises ONNX for Hailo's accelerators.

Command lines as in Hailo's documentation of DFC 3 and 5. Its engines take and return channels last.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, cast

from segship.backends import _elsewhere, _scripts
from segship.core import kits
from segship.core.artifacts import EngineOption
from segship.core.errors import BackendError
from segship.core.kits import CALIBRATION_ARRAY, ENGINES, INPUTS, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.core.artifacts import Device, Engine, Graph, Session
    from segship.core.kits import KitBackend
    from segship.core.target import Target

__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = _elsewhere.describe(
    "Hailo",
    ("int8",),
    "hailo",
    {
        "hw_arch": EngineOption(
            str,
            "accelerator; hailo8 by default",
            choices=("hailo8", "hailo8l", "hailo8r", "hailo10h", "hailo15h", "hailo15m"),
        ),
        "batch": _elsewhere.ONE_BATCH,
    },
    {
        "session": "hailo_platform runs it on the device: segship adopt takes what it returns",
        "dynamic": "its engines take one size",
        "fp32": "the accelerator computes in int8",
        "fp16": "the accelerator computes in int8",
    },
)

PROGRAMS: Sequence[str] = ("hailo",)
_FPS = re.compile(r"FPS:\s*([\d.]+)")


def free(target: Target) -> bool:
    """Never: its engines take one size."""
    del target
    return False


def recipe(job: KitJob) -> Recipe:
    """The commands of the Dataflow Compiler and of hailortcli.

    Raises:
        BackendError: Several images at once are asked for.
    """
    if job.batches != (1,):
        raise BackendError("Hailo: engines of one image at once are made: leave the option batch out")
    arch = f"--hw-arch {job.target.options.get('hw_arch', 'hailo8')}"
    parsed, optimised = f"{ENGINES}/model_bs1.har", f"{ENGINES}/model_bs1_optimized.har"
    return Recipe(
        convert=[
            f"hailo parser onnx {job.model(1)} --net-name model_bs1 {arch} --har-path {parsed} -y",
            f"hailo optimize {parsed} {arch} --calib-set-path {CALIBRATION_ARRAY} --output-har-path {optimised}",
            f"hailo compiler {optimised} {arch} --output-dir {ENGINES}",
            f"rm {parsed} {optimised}",
        ],
        run=[
            f"python3 infer.py --hef {ENGINES}/model_bs1.hef --input {INPUTS} --output {OUTPUTS}/result_bs1",
            f"hailortcli run {ENGINES}/model_bs1.hef 2>&1 | tee {OUTPUTS}/time_bs1.log",
        ],
        engines={1: "model_bs1.hef"},
        results=("{stem}",),
        needs="Hailo's Dataflow Compiler (an account, x86) to convert; HailoRT with its Python to run",
        files={"infer.py": _scripts.script("hailo_infer.py")},
        layout="nhwc",
    )


def read_speed(text: str, batch: int) -> float | None:
    """The frames per second of hailortcli run."""
    found = _FPS.findall(text)
    return float(found[-1]) * batch if found else None


def explain(text: str) -> str:
    """The last line in which the program speaks of an error."""
    return _elsewhere.last_error(text)


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Let the vendor's program make the engine, where it is on PATH."""
    return kits.build_here(cast("KitBackend", sys.modules[__name__]), graph, target, directory)


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Refuse: the vendor's own runtime opens it.

    Raises:
        BackendError: Always; it says what to do.
    """
    del device, threads
    _elsewhere.refuse(engine, INFO)


def probe() -> tuple[Device, ...]:
    """The device, which nothing here opens."""
    return _elsewhere.absent(INFO)
