"""Masks in a second, of many images: `Segmentor.batch` against the engine's own best.

::

    python benchmarks/throughput.py PACKAGE [PACKAGE ...] --images FOLDER [--count 24] [--rounds 5] [--json FILE]

*engine* is a loop as OpenVINO's benchmark_app has it: the throughput mode, as many requests in flight as the engine
asks for, on one prepared input; for ONNX Runtime one session with one thread a run, and a run for each processor. It
does nothing before and after the engine. *host* is the processor time of that work (decode, prepare, decide) as a
share of the engine's. *ratio* is ours / the engine's images in a second; *of the possible* divides it by what is left
of the processors beside the host's work, 1 / (1 + host): 1 is the best that there is. *serial* is a loop over
``segmentor(image)``. All take turns; figures are medians and quartiles over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import segship
from segship.core.processor import processor, processors
from segship.datasets.samples import find_images
from segship.runtime.package import find_package
from segship.vision.bands import read_pixels
from segship.vision.preprocess import prepare


def openvino_loop(model: Path, tensor: Any, count: int) -> Callable[[], None]:
    """The engine's own best: benchmark_app's loop."""
    import openvino

    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(model), "CPU", options)
    queue = openvino.AsyncInferQueue(compiled)

    def run() -> None:
        for _ in range(count):
            queue.start_async({0: tensor})
        queue.wait_all()

    return run


def onnxruntime_loop(model: Path, tensor: Any, count: int) -> Callable[[], None]:
    """Several runs in flight in one session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options)
    name = session.get_inputs()[0].name
    pool = ThreadPoolExecutor(processors())
    return lambda: [None for _ in pool.map(lambda _: session.run(None, {name: tensor}), range(count))] and None


LOOPS = {".xml": openvino_loop, ".onnx": onnxruntime_loop}


def host_seconds(package: Path, images: Sequence[Path]) -> float:
    """Processor time of this thread before and after the engine, an image."""
    files, taken = find_package(package), []
    pipeline = files.pipeline(threads=1)
    for image in images:
        begin = time.thread_time()
        prepared = pipeline.prepare(read_pixels(image, files.manifest.spec, max_pixels=10**9), "bgr")
        before = time.thread_time() - begin
        output = pipeline.infer(prepared)
        begin = time.thread_time()
        pipeline.decide(output, prepared)
        taken.append(before + time.thread_time() - begin)
    pipeline.close()
    return statistics.median(taken)


def interleaved(loops: dict[str, Callable[[], Any]], rounds: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Images in a second of wall and of processor time of each, in turns; the first turn is not counted."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, loop in loops.items():
            wall, used = time.perf_counter(), time.process_time()
            loop()
            if turn:
                found[name].append((count / (time.perf_counter() - wall), count / (time.process_time() - used)))
    return found


def measure(package: Path, images: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    model = next(path for path in sorted(package.iterdir()) if path.suffix in LOOPS)
    with segship.Segmentor(package) as segmentor:
        tensor = prepare(read_pixels(images[0], segmentor.spec, max_pixels=10**9), segmentor.spec, channel_order="bgr")
        loops = {
            "engine": LOOPS[model.suffix](model, tensor.tensor, len(images)),
            "batch": lambda: segmentor.batch(images),
            "serial": lambda: [segmentor(image) for image in images],
        }
        found = interleaved(loops, options.rounds, len(images))
    host = host_seconds(package, images[:8])
    wall = {name: sorted(rate for rate, _ in rates) for name, rates in found.items()}
    used = {name: statistics.median(rate for _, rate in rates) for name, rates in found.items()}
    ratios = [ours / theirs for (ours, _), (theirs, _) in zip(found["batch"], found["engine"], strict=True)]
    share = host * used["engine"]
    return {
        "package": package.name,
        "rates": wall,
        "images_a_cpu_second": used,
        "host": share,
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
        "possible": statistics.median(ratios) * (1 + share),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": threading.active_count(),
    }


def main() -> None:
    """Measure each package and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = list(itertools.islice(itertools.cycle(find_images([options.images])), options.count))
    table = Table("package", "engine/s", "batch/s", "serial/s", "ratio", "host", "of the possible", "peak MB")
    rows = []
    for package in options.packages:
        row = measure(package, images, options)
        rows.append(row)
        cells = [f"{statistics.median(row['rates'][name]):.1f}" for name in ("engine", "batch", "serial")]
        ratio = f"{row['ratio']:.2f} ({row['spread'][0]:.2f}-{row['spread'][1]:.2f})"
        table.add_row(
            row["package"], *cells, ratio, f"{row['host']:.0%}", f"{row['possible']:.2f}", f"{row['peak_mb']:.0f}"
        )
    Console(width=140).print(table)
    print(f"{processors()} x {processor()}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds in turns")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
