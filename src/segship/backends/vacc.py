"""VACC: VastAI's cards, whose compiler is a TVM of the vendor's own.

The program of a kit follows MMDeploy's onnx2vacc; the cards are driven by vamp with a file of the vendor's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.backends import _elsewhere, _scripts
from segship.core.artifacts import EngineOption
from segship.core.kits import CALIBRATION_ARRAY, ENGINES, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = _elsewhere.describe(
    "VACC",
    ("fp16", "int8"),
    "vacc",
    {
        "calibrate_mode": EngineOption(
            str, "of int8; percentile by default", choices=("percentile", "max", "kl_divergence")
        ),
        "batch": _elsewhere.ONE_BATCH,
    },
    {
        "session": "vamp runs it on the card: segship adopt takes what it returns",
        "dynamic": "its engines take one size",
        "fp32": "the cards compute in fp16 and int8",
    },
)

PROGRAMS: Sequence[str] = ("vamp",)
_QPS = re.compile(r"throughput \(qps\):\s*([\d.]+)")


def recipe(job: KitJob) -> Recipe:
    """The program that compiles, and vamp.

    Raises:
        BackendError: Several images at once are asked for.
    """
    _elsewhere.require_one(job, INFO.title)
    precision = job.target.precision
    shape = " ".join(map(str, job.shape(1)))
    fitted = ""
    if precision == "int8":
        mode = job.target.options.get("calibrate_mode", "percentile")
        fitted = f" --calibration {CALIBRATION_ARRAY} --calibrate_mode {mode}"
    build = f"python3 build.py --onnx {job.model(1)} --input {job.image.name} --shape {shape} --dtype {precision}"
    name = f"model-{precision}"
    tool = f'vamp -m {ENGINES}/{name}/model --vdsp_params "${{VDSP_PARAMS:?names a file of preprocessing}}"'
    return Recipe(
        convert=[
            f"{build} --output {ENGINES}{fitted}",
        ],
        run=[
            f"mkdir -p {OUTPUTS}/result_bs1",
            f"{tool} -i 1 -p 1 -b 1 2>&1 | tee {OUTPUTS}/time_bs1.log",
            f'echo "write the output of inputs/NAME.bin as {OUTPUTS}/result_bs1/NAME.npy, by your program,"',
            'echo "then bring engines/ and outputs/ back, and run segship adopt"',
        ],
        engines={1: name},
        results=("{stem}",),
        needs="VastAI's SDK: its TVM with vacc to compile, vamp and a card to run",
        files={"build.py": _scripts.script("vacc_build.py")},
        by_hand=True,
    )


def read_speed(text: str, batch: int) -> float | None:
    """The throughput of vamp."""
    del batch
    return _elsewhere.last_number(_QPS, text)


free = _elsewhere.never_free
explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
