"""SNPE: Qualcomm's Neural Processing SDK, whose converter makes a .dlc from ONNX.

Command lines as in Qualcomm's documentation (80-63442-10). Its engines take and return channels last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.backends import _elsewhere
from segship.core.artifacts import EngineOption
from segship.core.kits import CALIBRATION_LIST, ENGINES, INPUT_LIST, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = _elsewhere.describe(
    "SNPE",
    ("fp32", "int8"),
    "dsp",
    {
        "runtime": EngineOption(str, "cpu, or dsp for int8, by default", choices=("cpu", "gpu", "dsp", "aip")),
        "batch": _elsewhere.ONE_BATCH,
    },
    {
        "fp16": "its runtimes for GPU and DSP take half precision by themselves",
        "session": "SNPE runs it on the device: segship adopt takes what it returns",
        "dynamic": "its engines take one size",
    },
)

PROGRAMS: Sequence[str] = ("snpe-onnx-to-dlc",)
_SPEED = re.compile(r"Total throughput:\s*([\d.]+)\s*infs/sec")


def recipe(job: KitJob) -> Recipe:
    """The commands of SNPE.

    Raises:
        BackendError: Several images at once are asked for.
    """
    _elsewhere.require_one(job, INFO.title)
    shape = ",".join(map(str, job.shape(1)))
    name, quantised = f"{ENGINES}/model_bs1.dlc", job.target.precision == "int8"
    made = f"{ENGINES}/model_float.dlc" if quantised else name
    convert = [
        f"snpe-onnx-to-dlc --input_network {job.model(1)} --input_dim {job.image.name} {shape} --output_path {made}",
    ]
    if quantised:
        convert += [
            f"snpe-dlc-quantize --input_dlc {made} --input_list {CALIBRATION_LIST} --output_dlc {name}",
            f"rm {made}",
        ]
    runtime = job.target.options.get("runtime", "dsp" if quantised else "cpu")
    on = "" if runtime == "cpu" else f" --use_{runtime}"
    run = [
        f"snpe-net-run --container {name} --input_list {INPUT_LIST} --output_dir {OUTPUTS}/result_bs1{on}",
        f"snpe-throughput-net-run --container {name} --duration 10 --use_{runtime} 2>&1 | tee {OUTPUTS}/time_bs1.log",
    ]
    return Recipe(
        convert=convert,
        run=run,
        engines={1: "model_bs1.dlc"},
        results=("Result_{number}/{output}", "Result_{number}/{output}:0"),
        needs="Qualcomm's SNPE SDK: snpe-onnx-to-dlc on x86; snpe-net-run and snpe-throughput-net-run where it runs",
        layout="nhwc",
    )


def read_speed(text: str, batch: int) -> float | None:
    """The throughput of snpe-throughput-net-run."""
    per_batch = _elsewhere.last_number(_SPEED, text)
    return per_batch and per_batch * batch


free = _elsewhere.never_free
explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
