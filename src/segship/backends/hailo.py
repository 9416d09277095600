"""Hailo: the Dataflow Compiler quantises ONNX for Hailo's accelerators.

Command lines as in Hailo's documentation of DFC 3 and 5. Its engines take and return channels last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.backends import _elsewhere, _scripts
from segship.core.artifacts import EngineOption
from segship.core.kits import CALIBRATION_ARRAY, ENGINES, INPUTS, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def recipe(job: KitJob) -> Recipe:
    """The commands of the Dataflow Compiler and of hailortcli.

    Raises:
        BackendError: Several images at once are asked for.
    """
    _elsewhere.require_one(job, INFO.title)
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
    per_batch = _elsewhere.last_number(_FPS, text)
    return per_batch and per_batch * batch


free = _elsewhere.never_free
explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
