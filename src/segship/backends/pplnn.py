"""PPLNN: SenseTime's engine, which reads ONNX itself when it is run.

Command lines as in tools/pplnn.cc of openppl-public/ppl.nn (2024).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.backends import _elsewhere
from segship.core.artifacts import EngineOption
from segship.core.kits import ENGINES, INPUTS, OUTPUTS, KitJob, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.target import Target

__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = _elsewhere.describe(
    "PPLNN",
    ("fp32",),
    "x86",
    {
        "device": EngineOption(str, "kind of processor; x86 by default", choices=("x86", "cuda", "arm", "riscv")),
        "batch": _elsewhere.BATCHES,
    },
    {
        "session": "pplnn runs it: segship adopt takes what it returns",
        "fp16": "its CUDA kernels are chosen by itself",
        "int8": "its quantisation wants a file of PPLNN's own tools",
    },
    dynamic=True,
)

PROGRAMS: Sequence[str] = ("pplnn",)
_COSTS = re.compile(r"Average run costs: ([\d.]+) ms")


def free(target: Target) -> bool:
    """Whether the file leaves height and width free, which every run names."""
    return target.shape.static is None and not target.shape.own


def recipe(job: KitJob) -> Recipe:
    """The commands of pplnn; the engine is the ONNX file."""
    one = free(job.target)
    engines = {batch: "model.onnx" if one else f"model_bs{batch}.onnx" for batch in job.batches}
    convert = [f"cp {name} {ENGINES}/" for name in dict.fromkeys(job.models.values())]
    convert.append(f"[ ! -e weights.data ] || cp weights.data {ENGINES}/")
    return Recipe(
        convert=convert,
        run=[line for batch, name in engines.items() for line in _run(job, batch, name)],
        engines=engines,
        results=("{stem}/pplnn_output-{output}",),
        needs="pplnn of https://github.com/openppl-public/ppl.nn, built for the device",
        by_size=one,
    )


def _run(job: KitJob, batch: int, name: str) -> list[str]:
    tool = f"pplnn --use-{job.target.options.get('device', 'x86')} --onnx-model {ENGINES}/{name}"
    sizes = dict.fromkeys(size for _, size in job.inputs) or [job.image.shape[2:]]
    lines = []
    for height, width in sizes:
        dims = f"{batch}_{job.image.shape[1]}_{height}_{width}"
        place = f"{INPUTS}/{height}x{width}" if free(job.target) else INPUTS
        copies = " ".join(['"$input"'] * batch)
        lines += [
            f"for input in {place}/*.bin; do",
            f'  result={OUTPUTS}/result_bs{batch}/$(basename "$input" .bin); mkdir -p "$result"',
            f'  cat {copies} > "$result/{job.image.name}-{dims}-fp32.dat"',
            f'  {tool} --reshaped-inputs "$result/{job.image.name}-{dims}-fp32.dat" --save-outputs \\',
            '    --save-data-dir "$result"',
            f'  rm "$result/{job.image.name}-{dims}-fp32.dat"',
            "done",
            f"{tool} --in-shapes {dims} --enable-profiling --min-profiling-seconds 10 --warmup-iterations 5 \\",
            f"  2>&1 | tee {OUTPUTS}/time_bs{batch}{f'_{height}x{width}' if free(job.target) else ''}.log",
        ]
    return lines


def read_speed(text: str, batch: int) -> float | None:
    """The average of pplnn's profiling."""
    found = _COSTS.findall(text)
    return batch * 1000 / float(found[-1]) if found and float(found[-1]) else None


explain = _elsewhere.last_error
convert, open, probe = _elsewhere.kit_functions(__name__, INFO)
