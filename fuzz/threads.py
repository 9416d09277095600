"""Every engine that is installed here, one Segmentor in eight threads: all masks as one thread makes them.

::

    python fuzz/threads.py [--threads 8] [--runs 25] [--engines openvino,ncnn] [--write]

The bundled network is exported for each engine, and run from all threads at once on four scenes of two sizes. The
status is the number of masks that differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import numpy as np

import segship
from robustness import write_section
from segship.backends import backend_names, find_backend
from segship.vision.decode import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

DEMO = HERE.parent / "src" / "segship" / "assets" / "demo"


def targets(names: Sequence[str]) -> list[str]:
    """A target of float32 for each engine that works here; the others are named with the reason."""
    found = []
    for name in names:
        info, devices = find_backend(name).INFO, find_backend(name).probe()
        if not any(device.usable for device in devices):
            print(f"{name}: not here: {'; '.join(device.note for device in devices)[:150]}", flush=True)
            continue
        precision = "" if "fp32" in info.precisions else f"-{info.precisions[0]}"
        found.append(f"{name}{precision}_{'dynamic' if info.dynamic else 'static-128x192'}")
    return found


def wrong(package: Path, threads: int, runs: int) -> int:
    """How many of all masks differ from those that one thread makes."""
    images = [read_image(path) for path in sorted((DEMO / "images").glob("*.jpg"))[:4]]
    images[1::2] = [np.ascontiguousarray(image[:129, :161]) for image in images[1::2]]
    with segship.Segmentor(package, trust=True) as segmentor:
        alone = [segmentor(image) for image in images]

        def differs(number: int) -> bool:
            return not np.array_equal(segmentor(images[number % 4]), alone[number % 4])

        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(differs, range(threads * runs)))


def main() -> int:
    """Try every engine; the number of wrong masks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--runs", type=int, default=25, help="of each thread")
    parser.add_argument("--engines", default="", help="comma-separated; default: all")
    parser.add_argument("--write", action="store_true", help="into docs/tables/robustness.md")
    given = parser.parse_args()
    lines = ["| target | masks | wrong |", "|---|---:|---:|"]
    warnings.simplefilter("ignore")
    total = 0
    for target in targets(given.engines.split(",") if given.engines else backend_names()):
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "package"
            segship.export(
                DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth", made, target=target, allow_inexact=True
            )
            found = wrong(made, given.threads, given.runs)
        lines.append(f"| `{target}` | {given.threads * given.runs} | {found} |")
        print(f"{target}: {found} of {given.threads * given.runs} masks are wrong", flush=True)
        total += found
    if given.write:
        title = f"Threads: {given.engines.replace(',', ', ')}" if given.engines else "Threads"
        told = (
            f"`python fuzz/threads.py`: one Segmentor in {given.threads} threads, each mask held against one thread's."
        )
        write_section(title, "\n".join([told, "", *lines]))
    return min(255, total)


if __name__ == "__main__":
    sys.exit(main())
