"""VACC: VastAI's cards, whose compiler is a TVM of the vendor's own.

The program of a kit follows MMDeploy's onnx2vacc; the cards are driven by vamp with a file of the vendor's.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, cast

from segship.backends import _elsewhere, _scripts
from segship.core import kits
from segship.core.artifacts import EngineOption
from segship.core.errors import BackendError
from segship.core.kits import CALIBRATION_ARRAY, ENGINES, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.core.artifacts import Device, Engine, Graph, Session
    from segship.core.kits import KitBackend
    from segship.core.target import Target

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


def free(target: Target) -> bool:
    """Never: its engines take one size."""
    del target
    return False


def recipe(job: KitJob) -> Recipe:
    """The program that compiles, and vamp.

    Raises:
        BackendError: Several images at once are asked for.
    """
    if job.batches != (1,):
        raise BackendError("VACC: engines of one image at once are made: leave the option batch out")
    precision = job.target.precision
    shape = " ".join(map(str, job.shape(1)))
    fitted = ""
    if precision == "int8":
        mode = job.target.options.get("calibrate_mode", "percentile")
        fitted = f" --calibration {CALIBRATION_ARRAY} --calibrate_mode {mode}"
    build = f"python3 build.py --onnx {job.model(1)} --input {job.image.name} --shape {shape} --dtype {precision}"
    name = f"model-{precision}"
    tool = f'vamp -m {ENGINES}/{name}/model --vdsp_params "${{VDSP_PARAMS:?names the vendor\'s file of preprocessing}}"'
    return Recipe(
        convert=[
            f"{build} --output {ENGINES}{fitted}",
        ],
        run=[
            f"mkdir -p {OUTPUTS}/result_bs1",
            f"{tool} -i 1 -p 1 -b 1 2>&1 | tee {OUTPUTS}/time_bs1.log",
            f'echo "write the output of inputs/NAME.bin as {OUTPUTS}/result_bs1/NAME.npy by your program on the card"',
        ],
        engines={1: name},
        results=("{stem}",),
        needs="VastAI's SDK: its TVM with vacc to compile, vamp and a card to run",
        files={"build.py": _scripts.script("vacc_build.py")},
    )


def read_speed(text: str, batch: int) -> float | None:
    """The throughput of vamp."""
    del batch
    found = _QPS.findall(text)
    return float(found[-1]) if found else None


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
