"""Everything outside the engine: the native library against NumPy and OpenCV, as ratios in one run.

    OMP_NUM_THREADS=1 python benchmarks/native.py [--library FILE] [--rounds 15] [--clock cpu] [--table FILE.md]

Candidates run interleaved in one process, each on one thread. ``normalise`` is an image of 1024x2048 without a resize,
beside a copy of its result's memory; ``resize`` one of 720x1280; ``mask`` is logits of 19 classes, 128x256, to
1024x2048: of a scene (10-15 % of the cells mixed) and of noise (no areas at all), beside OpenCV's resize of each class
and a running maximum. Labels are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from timing import interleave
from upsample import smooth

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
from segship.core.spec import ModelSpec, Normalization, Resize
from segship.vision.preprocess import inverse_steps, prepare
from segship.vision.upsample import labels, scores
from support.native import DTYPES, Library, Tensor, as_image, manifest_text, pointer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZE, CELLS, CLASSES = (1024, 2048), (128, 256), 19
ROOT = Path(__file__).parents[1]


def spec_of(*geometry: Resize) -> ModelSpec:
    return ModelSpec(
        source="benchmark",
        architecture="none",
        classes=tuple(map(str, range(CLASSES))),
        palette=((0, 0, 0),) * CLASSES,
        geometry=geometry,
        normalization=Normalization(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    )


class Native:
    """The pieces, into buffers that are made once."""

    def __init__(self, library: Library, spec: ModelSpec) -> None:
        self._library, self._spec = library, library.spec(manifest_text(spec))

    def prepare(self, image: NDArray[np.uint8]) -> Callable[[], NDArray]:
        plan = self._spec.plan(*image.shape[:2])
        out = np.empty((1, 3, plan.height, plan.width), np.float32)
        given = as_image(image)
        arguments = (self._spec.handle, ctypes.byref(given), pointer(out), ctypes.c_size_t(out.nbytes))

        def run() -> NDArray:
            self._library.call("prepare", *arguments)
            return out

        return run

    def decide(self, logits: NDArray[np.float32], *, scores: bool = False) -> Callable[[], NDArray]:
        out = np.empty((CLASSES, *SIZE), np.float32) if scores else np.empty(SIZE, np.uint8)
        tensor = Tensor(logits.ctypes.data, logits.nbytes, DTYPES["float32"], 1, *logits.shape)
        name = "decide_scores" if scores else "decide"
        arguments = (self._spec.handle, *SIZE, ctypes.byref(tensor), pointer(out), ctypes.c_size_t(out.nbytes))

        def run() -> NDArray:
            self._library.call(name, *arguments)
            return out

        return run


def by_opencv(logits: NDArray[np.float32]) -> NDArray:
    best = np.full(SIZE, -np.inf, np.float32)
    winner = np.zeros(SIZE, np.uint8)
    for label, plane in enumerate(logits):
        value = cv2.resize(plane, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        winner[value > best] = label
        np.maximum(best, value, out=best)
    return winner


def candidates(library: Library) -> dict[str, dict[str, Callable[[], NDArray]]]:
    random = np.random.default_rng(0)
    whole, small = spec_of(), spec_of(Resize(width=2048, height=1024))
    native = Native(library, whole)
    image, source = (random.integers(0, 256, (*size, 3), np.uint8) for size in (SIZE, (720, 1280)))
    result = prepare(image, whole, channel_order="rgb").tensor
    room = np.empty_like(result)
    scene, noise = smooth(CLASSES, *CELLS), random.standard_normal((CLASSES, *CELLS)).astype(np.float32)
    steps = inverse_steps(whole, SIZE)

    def python(logits: NDArray[np.float32]) -> Callable[[], NDArray]:
        return lambda: labels(logits, steps, align_corners=False)

    def copy() -> NDArray:
        np.copyto(room, result)
        return room

    return {
        "normalise": {
            "native": native.prepare(image),
            "Python": lambda: prepare(image, whole, channel_order="rgb").tensor,
            "memory copy": copy,
        },
        "resize, normalise": {
            "native": Native(library, small).prepare(source),
            "Python": lambda: prepare(source, small, channel_order="rgb").tensor,
        },
        "mask of a scene": {
            "native": native.decide(scene),
            "Python": python(scene),
            "OpenCV": lambda: by_opencv(scene),
        },
        "mask of noise": {
            "native": native.decide(noise),
            "Python": python(noise),
            "OpenCV": lambda: by_opencv(noise),
        },
        "scores of a scene": {
            "native": native.decide(scene, scores=True),
            "Python": lambda: scores(scene, steps, align_corners=False),
        },
    }


def require_equal(name: str, some: dict[str, Callable[[], NDArray]]) -> None:
    found, expected = some["native"](), some["Python"]()
    if name.startswith("scores"):
        assert np.abs(found - expected).max() <= 1e-6
    else:
        assert (found == expected).all(), f"{name}: {(found != expected).sum()} differ"


def processor() -> str:
    """Name of the processor and what it can do, as Linux tells it."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    known = {name.strip(): value.strip() for name, value in lines.items()}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
    features = [name for name in wanted if name in known.get("flags", "").split()]
    return f"{known.get('model name', 'unknown')}; {', '.join(features) or 'none of ' + ', '.join(wanted)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=ROOT / "build" / "native" / "libsegship.so")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="cpu", help="cpu: where others keep the machine busy"
    )
    parser.add_argument("--table", type=Path, help="write the table here, too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    told = (
        f"Processor: {processor()}. One thread, {options.clock} clock, {options.rounds} rounds; milliseconds: median "
        "(quartiles). Made by `OMP_NUM_THREADS=1 python benchmarks/native.py`."
    )
    lines = [
        told,
        "",
        "| work | candidate | ms | / native |",
        "|---|---|---:|---:|",
    ]
    for name, some in candidates(Library(options.library)).items():
        require_equal(name, some)
        timings = interleave(some, rounds=options.rounds, pause=0.01, clock=clock)
        for candidate, timing in timings.items():
            ratio = timing.median / timings["native"].median
            lines.append(f"| {name} | {candidate} | {timing} | {ratio:.2f} |")
    print("\n".join(lines))
    if options.table is not None:
        options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
