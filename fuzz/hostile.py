"""Read some 4 000 hostile inputs, each in a process with limits, and write the table of how the readings ended.

::

    python fuzz/hostile.py [--kinds configs,onnx_models] [--most 100] [--jobs 2] [--write]

A reading survives if it ends within 5 s of processor time and 1 GB of memory, in a result or in a `SegshipError` of one
line. Every other end is listed; the status is their number. Of an input that carries code, nothing may run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from child import End, run
from robustness import write_section

if TYPE_CHECKING:
    from inputs.common import Case

KINDS = {
    "configs": "configs of MMSegmentation: programs, bombs, nesting, absurd sizes of every part",
    "checkpoints": "checkpoints: pickles, zips, the older format, safetensors",
    "manifests": "packages: every value of the manifest, damaged files; opened and run",
    "documents": "YAML and JSON: descriptions",
    "onnx_models": "ONNX files: loops, functions, sizes, types, files beside them",
    "openvino_models": "OpenVINO models: every attribute of the XML",
    "folders": "folders of MMDeploy, Hugging Face, Segmenter and Paddle; pickles under other names",
    "medical": "folders of nnU-Net, bundles of MONAI: every value of their JSON; checkpoints and expressions that run",
    "images": "images, label maps, TIFF and .npy",
}
_BAD = ("executed", "hang", "slow", "big", "uncaught")
_PRELOADED = (
    "segship.cli.app",
    "segship.sources",
    "torch",
    "onnx",
    "onnxruntime",
    "cv2",
    "yaml",
    "tifffile",
    "transformers",
)


def preload() -> None:
    """Import what every child needs, so that each of them need not."""
    import segship.sources

    segship.sources.sources()
    for name in _PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def cases_of(kind: str, most: int) -> list[Case]:
    """The inputs of a kind, at most so many, spread over all."""
    cases = list(importlib.import_module(f"inputs.{kind}").cases())
    count = min(most, len(cases))
    return [cases[number * len(cases) // count] for number in range(count)]


def examine(kind: str, most: int) -> list[tuple[str, End]]:
    """Read the inputs of a kind; the title and the end of each."""
    read = importlib.import_module(f"inputs.{kind}").read
    ends, begin = [], time.monotonic()
    for case in cases_of(kind, most):
        end = run(read, case.write)
        ends.append((case.title, end))
        if end.how in _BAD:
            print(f"{kind}: {case.title}: {end.how}, {end.seconds} s, {end.megabytes} MB: {end.said}"[:400], flush=True)
    print(f"{kind}: {len(ends)} inputs in {time.monotonic() - begin:.0f} s", flush=True)
    return ends


def table(ends: dict[str, list[tuple[str, End]]]) -> str:
    """The page."""
    lines = [
        "Made by `python fuzz/hostile.py`. Each input was read in a process of its own that may take 6 GiB of addresses and 9 s of",
        "processor time. *Refused*: an error of one line; *read*: a result. *Executed*: code of the input ran. *Hang*: more than 5 s.",
        "*Big*: more than 1 GB. *Uncaught*: any other exception, or a crash.",
        "",
        "| inputs | tried | read | refused | executed | hang | big | uncaught |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    whole: Counter[str] = Counter()
    for kind, found in ends.items():
        row = Counter(end.how for _, end in found)
        row["hang"] += row.pop("slow", 0)
        row["tried"], row["refused"] = len(found), sum(end.how == "survived" and bool(end.said) for _, end in found)
        row["read"] = row["survived"] - row["refused"]
        whole += row
        lines.append(_row(KINDS[kind], row))
    slowest = max((end.seconds for found in ends.values() for _, end in found), default=0)
    largest = max((end.megabytes for found in ends.values() for _, end in found), default=0)
    return "\n".join(
        [
            *lines,
            _row("**together**", whole),
            "",
            f"The slowest took {slowest:.1f} s of processor time, the largest {largest} MB.",
        ]
    )


def _row(title: str, row: Counter[str]) -> str:
    columns = ("tried", "read", "refused", "executed", "hang", "big", "uncaught")
    return f"| {title} | {' | '.join(str(row[name]) for name in columns)} |"


def main() -> int:
    """Read them all; the number of inputs that did not survive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of the kinds, comma-separated")
    parser.add_argument("--most", type=int, default=10_000, help="so many inputs of each kind, spread over all")
    parser.add_argument("--jobs", type=int, default=1, help="kinds at a time")
    parser.add_argument("--write", action="store_true", help="into docs/tables/robustness.md")
    given = parser.parse_args()
    preload()
    kinds = given.kinds.split(",")
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("fork")) as pool:
        ends = dict(zip(kinds, pool.map(examine, kinds, [given.most] * len(kinds)), strict=True))
    section = table(ends)
    print(section)
    if given.write:
        write_section("Hostile inputs" if kinds == list(KINDS) else f"Hostile inputs: {', '.join(kinds)}", section)
    return min(255, sum(end.how in _BAD for found in ends.values() for _, end in found))


if __name__ == "__main__":
    sys.exit(main())
