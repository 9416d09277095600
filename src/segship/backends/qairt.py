"""QAIRT: Qualcomm's AI Runtime SDK, whose qairt-converter makes a .dlc from ONNX and qnn-net-run runs it.

Command lines as in Qualcomm's documentation. Inputs and outputs keep the layout of the ONNX file.
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
    "QAIRT",
    ("fp32", "fp16", "int8"),
    "htp",
    {
        "backend": EngineOption(str, "library that runs it; htp by default", choices=("cpu", "gpu", "htp")),
        "batch": _elsewhere.ONE_BATCH,
    },
    {
        "session": "QAIRT runs it on the device: segship adopt takes what it returns",
        "dynamic": "its engines take one size",
    },
)

PROGRAMS: Sequence[str] = ("qairt-converter",)
_SPEED = re.compile(r"(\d+) inputs in (\d+) ns")


def recipe(job: KitJob) -> Recipe:
    """The commands of QAIRT.

    Raises:
        BackendError: Several images at once are asked for.
    """
    _elsewhere.require_one(job, INFO.title)
    shape = ",".join(map(str, job.shape(1)))
    name, quantised = f"{ENGINES}/model_bs1.dlc", job.target.precision == "int8"
    half = " --float_bitwidth 16" if job.target.precision == "fp16" else ""
    made = f"{ENGINES}/model_float.dlc" if quantised else name
    source = f"--input_network {job.model(1)} --source_model_input_shape {job.image.name} {shape}"
    convert = [f"qairt-converter {source} --output_path {made}{half}"]
    if quantised:
        convert += [
            f"qairt-quantizer --input_dlc {made} --input_list {CALIBRATION_LIST} --output_dlc {name}",
            f"rm {made}",
        ]
    library = f"libQnn{str(job.target.options.get('backend', 'htp')).capitalize()}.so"
    tool = f"qnn-net-run --backend {library} --dlc_path {name} --input_list {INPUT_LIST}"
    run = [
        f"start=$(date +%s%N); {tool} --output_dir {OUTPUTS}/result_bs1; end=$(date +%s%N)",
        f'echo "{len(job.inputs)} inputs in $((end - start)) ns, loading included" > {OUTPUTS}/time_bs1.log',
    ]
    return Recipe(
        convert=convert,
        run=run,
        engines={1: "model_bs1.dlc"},
        results=("Result_{number}/{output}",),
        needs="Qualcomm's QAIRT SDK: qairt-converter on x86, qnn-net-run with the backend's library where it runs",
        layout="nchw",
    )


def read_speed(text: str, batch: int) -> float | None:
    """The images of qnn-net-run in the time it took, loading included: a lower bound."""
    del batch
    found = _SPEED.search(text)
    return int(found[1]) / (int(found[2]) / 1e9) if found and int(found[2]) else None


free = _elsewhere.never_free
explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
