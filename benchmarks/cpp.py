"""From a decoded image to the mask in C++, against MMDeploy's own runtime on the same weights; and what starting costs.

::

    python benchmarks/cpp.py [NETWORK ...] [--python PYTHON] [--size 512x1024 1024x2048] [--rounds 9] [--threads 2]
        [--targets onnxruntime,openvino] [--starts wall|cpu] [--packages FOLDER] [--configs FOLDER] [--table FILE.md]

PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1 and NumPy below 2; left out, C++ runs alone. Networks,
weights and packages are those of packages.py; the image has the network's own size. All times are medians of one
interleaved run. *ratio* is mmdeploy_runtime / C++: above 1 is faster. *outside* is (mask - engine) / engine, of
processor time. *start* is a C++ program that makes one mask, from its start to its end; *run once* one that opens the
engine and runs it once, without a package around it; *session* one that opens the engine and runs nothing. They are
timed by the wall's clock, or (``--starts cpu``) in processor time, which a busy machine changes less.
Build the library first::

    cmake -S native -B build/native && cmake --build build/native
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdeploy import Runtime
from native import processor
from packages import NETWORKS, SCENES, Network, find_network, keeping, mmdeploy_package_of, package_of
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from timing import Timing, interleave

ROOT = Path(__file__).parents[1]
LIBRARIES = {"SEGSHIP_ONNXRUNTIME": ("onnxruntime", "capi"), "SEGSHIP_OPENVINO": ("openvino", "libs")}


def compile_program(folder: Path, library: Path) -> Path:
    """masks.cpp, with the library inside."""
    out = folder / "masks"
    include = [f"-I{ROOT / 'native' / part}" for part in ("include", "src")]
    source = ROOT / "benchmarks" / "masks.cpp"
    command = ["c++", "-std=c++17", "-O2", "-DSEGSHIP_STATIC", *include, source, library / "libsegship.a", "-ldl"]
    subprocess.run([*command, "-o", out], check=True)
    return out


def environment() -> dict[str, str]:
    """The variables that name this Python's engines, so that C++ and Python run the same."""
    found = dict(os.environ)
    for variable, (module, folder) in LIBRARIES.items():
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            found[variable] = str(Path(spec.origin).parent / folder)
    return found


class Program:
    """masks.cpp on one package and image."""

    def __init__(self, program: Path, package: Path, image: Path, size: tuple[int, int], threads: int) -> None:
        self._opening = [program, package, str(threads)]
        self._whole = [*self._opening, image, *map(str, size)]
        self._process = subprocess.Popen(
            self._whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    def ask(self, what: str) -> float:
        """Have a mask made, or the engine run; the seconds of processor time it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def first(self) -> None:
        """Start anew, make one mask and end."""
        subprocess.run([*self._whole, "first"], check=True, env=environment())

    def bare(self) -> None:
        """Start anew, open the engine, run it once and end."""
        subprocess.run([*self._whole, "bare"], check=True, env=environment())

    def session(self) -> None:
        """Start anew, open the engine and end."""
        subprocess.run(self._opening, check=True, env=environment())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def outside(program: Program, rounds: int) -> float:
    """What a mask takes beside the engine, as a share of the engine's processor time."""
    took: dict[str, list[float]] = {"mask": [], "engine": []}
    program.ask("engine")  # the first run takes memory from the system
    for _ in range(rounds):
        for what, values in took.items():
            values.append(program.ask(what))
    mask, engine = (statistics.median(values) for values in took.values())
    return (mask - engine) / engine


def children_seconds() -> float:
    """Processor time of the programs that were run and have ended."""
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took.ru_utime + took.ru_stime


CLOCKS = {"wall": time.perf_counter, "cpu": children_seconds}


def measure(network: Network, size: tuple[int, int], options: argparse.Namespace, folder: Path) -> list[str]:
    """Rows of the table: one for each target."""
    image = np.ascontiguousarray(cv2.resize(read_image(find_images([SCENES])[0]), size[::-1])[:, :, ::-1], np.uint8)
    pixels, bgr = folder / "image.raw", folder / "image.npy"
    image.tofile(pixels)
    np.save(bgr, image[:, :, ::-1])
    program = options.program
    ours = {
        target: Program(program, package_of(network, target, size, folder), pixels, size, options.threads)
        for target in options.targets.split(",")
    }
    masks: dict[str, Any] = {name: lambda one=one: one.ask("mask") for name, one in ours.items()}
    theirs = Runtime(options.python, mmdeploy_package_of(network, size, folder), bgr) if options.python else None
    if theirs is not None:
        masks = {"mmdeploy": theirs, **masks}
    clock = CLOCKS[options.starts]
    try:
        times = interleave(masks, rounds=options.rounds)
        rows = []
        for name, one in ours.items():
            share = outside(one, options.rounds)
            programs = {"start": one.first, "run once": one.bare, "session": one.session}
            starts = interleave(programs, rounds=options.rounds, warm_up=1, clock=clock)
            what = f"{network.name} | {size[0]}x{size[1]} | {name}"
            rows.append(row_of(what, times.get("mmdeploy"), times[name], share, starts))
        return rows
    finally:
        for one in (theirs, *ours.values()):
            if one is not None:
                one.close()


def row_of(what: str, theirs: Timing | None, ours: Timing, share: float, starts: dict[str, Timing]) -> str:
    """A row of the table."""
    start = starts["start"]
    beside = " | ".join(
        f"{starts[name]} = {start.median / starts[name].median:.2f}" for name in ("run once", "session")
    )
    ratio = f"{theirs.median / ours.median:.2f}" if theirs else "-"
    return f"| {what} | {theirs or '-'} | {ours} | {ratio} | {share:.1%} | {start} | {beside} |"


def main() -> None:
    """Measure each network at each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--python")
    parser.add_argument("--starts", choices=CLOCKS, default="wall")
    parser.add_argument("--size", nargs="+", default=["512x1024", "1024x2048"])
    parser.add_argument("--targets", default="onnxruntime,openvino")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--configs", type=Path)
    parser.add_argument("--library", type=Path, default=ROOT / "build" / "native")
    parser.add_argument("--table", type=Path, help="write the table here, too")
    options = parser.parse_args()
    told = (
        f"Processor: {processor()}. {options.threads} threads, wall clock, {options.rounds} interleaved rounds, load "
        f"{os.getloadavg()[0]:.1f} at the start; milliseconds: median (quartiles)."
    )
    columns = "| network | size | engine | mmdeploy_runtime | C++ | ratio | outside | start | / run once | / session |"
    lines = [told, "", columns, "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    print("\n".join(lines))
    with keeping(options.packages) as folder, tempfile.TemporaryDirectory() as temporary:
        options.program = compile_program(Path(temporary), options.library)
        for name in options.networks:
            for text in options.size:
                height, width = map(int, text.split("x"))
                rows = measure(find_network(name, options.configs), (height, width), options, folder)
                print("\n".join(rows), flush=True)
                lines += rows
    if options.table is not None:
        options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
