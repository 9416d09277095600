"""Masks from logits: Segship's exact shortcut against PyTorch and against OpenCV.

    python benchmarks/upsample.py [--logits FILE.npy ...] [--repeats 15] [--threads 2] [--clock wall] [--json FILE]

Compared, interleaved within one process, the same float32 logits (C, h, w) in memory for all:

- ``segship``: `segship.vision.upsample.labels`;
- ``torch``: ``F.interpolate(mode="bilinear")`` for each step, then ``argmax``;
- ``opencv``: for each class ``cv2.resize`` for each step, then a running maximum. It has no align_corners and rounds
  its weights differently, so its labels are not compared.

PyTorch and OpenCV get ``--threads`` threads; Segship works on one, and on ``--threads`` where it falls back to
interpolating everything. Without ``--logits`` the benchmark draws smooth fields whose cells disagree about as often
as a trained network's. The table shows medians in milliseconds, the range from the fastest to the slowest run, and the
ratio of the medians to Segship's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from segship.vision.upsample import Step, labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    name: str
    logits: NDArray
    sizes: tuple[tuple[int, int], ...]
    align_corners: bool = False


def smooth(classes: int, height: int, width: int, *, seed: int = 0) -> NDArray:
    """Smooth random fields, common classes ahead of rare ones, with a little noise: 10-15 % of the cells are mixed."""
    random = np.random.default_rng(seed)
    fields = random.standard_normal((classes, height, width)).astype(np.float32)
    fields = np.stack([cv2.GaussianBlur(field, (0, 0), 12, borderType=cv2.BORDER_REFLECT) for field in fields])
    fields *= 4 / fields.std(axis=(1, 2), keepdims=True)
    fields -= np.sqrt(np.linspace(0, 1, classes, dtype=np.float32))[:, None, None] * 8
    return (fields + 0.04 * random.standard_normal(fields.shape)).astype(np.float32)


def cases(files: list[Path]) -> list[Case]:
    one, two = ((1024, 2048),), ((1024, 2048), (720, 1280))
    found = []
    for file in files:
        logits = np.ascontiguousarray(np.load(file), np.float32)
        found += [Case(f"{file.stem}, one resize", logits, one), Case(f"{file.stem}, two resizes", logits, two)]
    cityscapes, ade = smooth(19, 128, 256), smooth(150, 128, 171)
    return [
        *found,
        Case("19 classes, one resize", cityscapes, one),
        Case("19 classes, two resizes", cityscapes, two),
        Case("19 classes, two resizes up", cityscapes, ((512, 1024), (1024, 2048))),
        Case("19 classes, align_corners", smooth(19, 129, 257), one, align_corners=True),
        Case("150 classes, one resize", ade, ((512, 683),)),
        Case("150 classes, two resizes", ade, ((512, 683), (768, 1024))),
        Case("150 classes, large", smooth(150, 128, 256), one),
        Case("2 classes, one resize", smooth(2, 128, 256), one),
        Case("150 classes, noise (worst case)", noise(150, 128, 128), ((512, 512),)),
        Case("19 classes, noise (worst case)", noise(19, 128, 256), one),
        Case("19 classes, noise, odd size", noise(19, 128, 171), ((512, 683),)),
        Case("19 classes, noise, two resizes", noise(19, 128, 256), two),
    ]


def noise(classes: int, height: int, width: int) -> NDArray:
    return np.random.default_rng(0).standard_normal((classes, height, width)).astype(np.float32)


def with_torch(case: Case) -> NDArray:
    values = torch.from_numpy(case.logits)[None]
    for size in case.sizes:
        values = F.interpolate(values, size, mode="bilinear", align_corners=case.align_corners)
    return values[0].argmax(0).numpy()


def with_opencv(case: Case) -> NDArray:
    best = winner = None
    for label, plane in enumerate(case.logits):
        values = plane
        for height, width in case.sizes:
            values = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        if best is None:
            best, winner = values, np.zeros(values.shape, np.uint8)
            continue
        ahead = cv2.compare(values, best, cv2.CMP_GT)
        np.copyto(winner, np.uint8(label), where=ahead.view(np.bool_))
        cv2.max(best, values, dst=best)
    return winner


def with_segship(case: Case) -> NDArray:
    return labels(case.logits, [Step(size) for size in case.sizes], align_corners=case.align_corners)


WAYS: dict[str, Callable[[Case], NDArray]] = {"segship": with_segship, "opencv": with_opencv, "torch": with_torch}


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(case: Case, repeats: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Milliseconds of each run of each way; one round of all ways warms up and is thrown away."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for round_ in range(repeats + 1):
        for way, run in WAYS.items():
            start = clock()
            run(case)
            if round_:
                times[way].append((clock() - start) * 1e3)
    return times


def mixed(logits: NDArray) -> float:
    """Share of the squares of four cells that do not agree on the winner."""
    winner = logits.argmax(axis=0)
    corners = np.stack((winner[:-1, :-1], winner[1:, :-1], winner[:-1, 1:], winner[1:, 1:]))
    return float((corners.min(axis=0) != corners.max(axis=0)).mean())


def report(case: Case, repeats: int, clock: Callable[[], float]) -> dict[str, object]:
    times = measure(case, repeats, clock)
    medians = {way: statistics.median(values) for way, values in times.items()}
    differ = int((with_segship(case) != with_torch(case)).sum())
    share = mixed(case.logits)
    cells = " ".join(f"{medians[way]:8.1f} ({min(values):6.1f}-{max(values):6.1f})" for way, values in times.items())
    ratios = " ".join(f"{medians[way] / medians['segship']:8.1f}x" for way in WAYS if way != "segship")
    print(f"{case.name:38} {share:6.1%} {cells} {ratios} {differ:8d}", flush=True)
    return {
        "case": case.name,
        "logits": list(case.logits.shape),
        "sizes": case.sizes,
        "align_corners": case.align_corners,
        "mixed": share,
        "milliseconds": times,
        "differing_labels": differ,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logits", type=Path, nargs="*", default=[], help="float32 (C, h, w) files of a real network")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: sum over threads, for a busy machine")
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write every time here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    versions = f"torch {torch.__version__}, OpenCV {cv2.__version__}, NumPy {np.__version__}"
    print(f"{versions}, {options.threads} threads, {options.clock} clock")
    head = " ".join(f"{f'{way} ms':>24}" for way in WAYS)
    print(f"{'':38} {'mixed':>6} {head} {'opencv':>9} {'torch':>9} {'differ':>8}")
    found = [
        report(case, options.repeats, CLOCKS[options.clock])
        for case in cases(options.logits)
        if options.only in case.name
    ]
    if options.json is not None:
        options.json.write_text(
            json.dumps({"threads": options.threads, "clock": options.clock, "results": found}, indent=1)
        )


if __name__ == "__main__":
    main()
