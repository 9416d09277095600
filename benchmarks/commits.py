"""Two checkouts against each other: export, the first mask of a fresh process, evaluation, image to mask.

::

    git worktree add ../old OLD_COMMIT
    python benchmarks/commits.py ../old . CONFIG CHECKPOINT --images DIR --labels DIR [--rounds 5] [--json FILE]

Each measurement is a process of its own, the checkouts take turns. Figures are CPU seconds (of *image to mask*:
milliseconds of wall time in two threads), median and spread; *ratio* is new / old, below 1 is faster. The status is 1
where a ratio is above ``--most`` (1.05).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

LOOP = """
import statistics, sys, time
from segship import Segmentor
segmentor = Segmentor(sys.argv[1], threads=2)
times = []
for _ in range(23):
    begin = time.perf_counter()
    segmentor(sys.argv[2])
    times.append(time.perf_counter() - begin)
print(1000 * statistics.median(times[3:]))
"""


class Checkout:
    """One checkout of the repository; its package of the network lies in a folder of its own."""

    def __init__(self, root: Path, folder: Path, options: argparse.Namespace) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(root.resolve() / "src"), "OMP_NUM_THREADS": "2"}
        self._package, self._masks, self._options = str(folder / "package"), str(folder / "masks"), options
        images = sorted(path for path in options.images.rglob("*") if path.is_file())
        self._image = str(images[0])

    def export(self) -> float:
        """CPU seconds of an export to ONNX Runtime."""
        return self._cpu_seconds("export", self._options.config, self._options.checkpoint, self._package)

    def cold_start(self) -> float:
        """CPU seconds of ``segship predict`` of one image."""
        return self._cpu_seconds("predict", self._package, self._image, "--to", self._masks)

    def evaluate(self) -> float:
        """CPU seconds of an evaluation."""
        folders = ("--images", self._options.images, "--labels", self._options.labels)
        return self._cpu_seconds("evaluate", self._package, *folders)

    def mask(self) -> float:
        """Milliseconds from an image file to its mask."""
        command = [sys.executable, "-c", LOOP, self._package, self._image]
        done = subprocess.run(command, env=self._environment, check=True, capture_output=True, text=True)
        return float(done.stdout)

    def _cpu_seconds(self, *arguments: str | Path) -> float:
        command = [sys.executable, "-m", "segship", *map(str, arguments)]
        process = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {errors[-500:]}")
        return usage.ru_utime + usage.ru_stime


WORK: dict[str, Callable[[Checkout], float]] = {
    "export": Checkout.export,
    "cold start": Checkout.cold_start,
    "evaluate": Checkout.evaluate,
    "image to mask": Checkout.mask,
}


def measure(old: Checkout, new: Checkout, rounds: int) -> dict[str, list[list[float]]]:
    """Figures of each kind of work: those of the old checkout, those of the new one."""
    figures = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=len(WORK) * rounds)
        for name, work in WORK.items():
            pairs = []
            for number in range(rounds):
                order = (old, new) if number % 2 == 0 else (new, old)
                taken = {checkout: work(checkout) for checkout in order}
                pairs.append((taken[old], taken[new]))
                progress.advance(task)
            figures[name] = [list(values) for values in zip(*pairs, strict=True)]
    return figures


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--labels", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=1.05)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        old, new = Checkout(options.old, Path(first), options), Checkout(options.new, Path(second), options)
        figures = measure(old, new, options.rounds)
    table = Table("work", "old", "new", "ratio", title=f"{options.rounds} rounds, median (least-greatest)")
    slow = False
    for name, (before, after) in figures.items():
        ratio = statistics.median(after) / statistics.median(before)
        slow |= ratio > options.most
        spread = [f"{statistics.median(v):.2f} ({min(v):.2f}-{max(v):.2f})" for v in (before, after)]
        table.add_row(name, *spread, f"{ratio:.2f}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    raise SystemExit(int(slow))


if __name__ == "__main__":
    main()
