"""Horizon: BPUs of Horizon Robotics (RDK boards), whose hb_mapper or hb_compile quantises ONNX.

Command lines and configuration as in the OpenExplorer documentation: hb_mapper for bernoulli2 and bayes, hb_compile for
nash.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, cast

from segship.backends import _elsewhere
from segship.core import kits
from segship.core.artifacts import EngineOption
from segship.core.errors import BackendError
from segship.core.kits import CALIBRATION, ENGINES, INPUTS, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.core.artifacts import Device, Engine, Graph, Session
    from segship.core.kits import KitBackend
    from segship.core.target import Target

__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = _elsewhere.describe(
    "Horizon",
    ("int8",),
    "bpu",
    {
        "march": EngineOption(
            str,
            "BPU's architecture; bayes-e by default",
            choices=("bernoulli2", "bayes", "bayes-e", "nash-e", "nash-m", "nash-p"),
        ),
        "batch": _elsewhere.ONE_BATCH,
    },
    {
        "session": "hrt_model_exec runs it on the board: segship adopt takes what it returns",
        "dynamic": "its engines take one size",
        "fp32": "the BPU computes in int8",
        "fp16": "the BPU computes in int8",
    },
)

PROGRAMS: Sequence[str] = ("hb_mapper",)
_RATE = re.compile(r"[Ff]rame\s*rate\D*([\d.]+)")


def free(target: Target) -> bool:
    """Never: its engines take one size."""
    del target
    return False


def recipe(job: KitJob) -> Recipe:
    """The commands of OpenExplorer and of hrt_model_exec.

    Raises:
        BackendError: Several images at once are asked for.
    """
    if job.batches != (1,):
        raise BackendError("Horizon: engines of one image at once are made: leave the option batch out")
    march = str(job.target.options.get("march", "bayes-e"))
    nash = march.startswith("nash")
    name = "model_bs1.hbm" if nash else "model_bs1.bin"
    build = "hb_compile --config config.yaml"
    if not nash:
        build = "hb_mapper makertbin --config config.yaml --model-type onnx"
    check = [] if nash else [f"hb_mapper checker --model-type onnx --march {march} --model {job.model(1)}"]
    result = f"{OUTPUTS}/result_bs1"
    dump = "model_infer_output_0_{output}"
    return Recipe(
        convert=[*check, build],
        run=[
            f"for input in {INPUTS}/*.bin; do",
            f'  result={result}/$(basename "$input" .bin); mkdir -p "$result"',
            f'  hrt_model_exec infer --model_file {ENGINES}/{name} --input_file "$input" --enable_dump \\',
            '    --dump_format bin --dump_path "$result"',
            "done",
            f"hrt_model_exec perf --model_file {ENGINES}/{name} --thread_num 1 --frame_count 200 2>&1 \\",
            f"  | tee {OUTPUTS}/time_bs1.log",
        ],
        engines={1: name},
        results=("{stem}/" + dump,),
        needs="OpenExplorer's container (hb_mapper or hb_compile) to convert; a board with hrt_model_exec to run",
        files={"config.yaml": _config(job, march)},
    )


def _config(job: KitJob, march: str) -> str:
    shape = "x".join(map(str, job.shape(1)))
    return f"""model_parameters:
  onnx_model: './{job.model(1)}'
  march: '{march}'
  working_dir: './{ENGINES}'
  output_model_file_prefix: 'model_bs1'
input_parameters:
  input_name: '{job.image.name}'
  input_shape: '{shape}'
  input_type_rt: 'featuremap'
  input_layout_rt: 'NCHW'
  input_type_train: 'featuremap'
  input_layout_train: 'NCHW'
  norm_type: 'no_preprocess'
calibration_parameters:
  cal_data_dir: './{CALIBRATION}'
  cal_data_type: 'float32'
  calibration_type: 'default'
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O3'
"""


def read_speed(text: str, batch: int) -> float | None:
    """The frame rate of hrt_model_exec perf."""
    found = _RATE.findall(text)
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
