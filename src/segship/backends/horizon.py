"""Horizon: BPUs of Horizon Robotics (RDK boards), whose hb_mapper or hb_compile quantises ONNX.

Command lines and configuration as in the OpenExplorer documentation: hb_mapper for bernoulli2 and bayes, hb_compile for
nash.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.backends import _elsewhere
from segship.core.artifacts import EngineOption
from segship.core.kits import CALIBRATION, ENGINES, INPUTS, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def recipe(job: KitJob) -> Recipe:
    """The commands of OpenExplorer and of hrt_model_exec.

    Raises:
        BackendError: Several images at once are asked for.
    """
    _elsewhere.require_one(job, INFO.title)
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
    per_batch = _elsewhere.last_number(_RATE, text)
    return per_batch and per_batch * batch


free = _elsewhere.never_free
explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
