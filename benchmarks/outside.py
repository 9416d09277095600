"""What a package costs outside its engine: NumPy's way and segship-native's, each as a share of the engine's time.

::

    python benchmarks/outside.py [NETWORK ...] [--size 1024x2048] [--rounds 9] [--threads 1] [--packages FOLDER]
        [--configs FOLDER] [--target onnxruntime]

Networks, weights and packages are those of packages.py; the image has the network's own size. *outside* is (whole -
engine) / engine, of medians of processor time in one interleaved run. *equal* is whether both masks are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import timing
from packages import NETWORKS, SCENES, Network, find_network, keeping, package_of
from segship.runtime.package import find_package
from segship.vision import native
from segship.vision.decode import read_image
from segship.vision.image_files import find_images


def measure(network: Network, size: tuple[int, int], folder: Path, options: argparse.Namespace) -> list[str]:
    """One row of the table."""
    files = find_package(package_of(network, options.target, size, folder))
    image = cv2.resize(np.asarray(read_image(find_images([SCENES])[0])), size[::-1], interpolation=cv2.INTER_AREA)
    pixels = np.asarray(image, np.uint8)
    pipeline = files.pipeline(threads=options.threads)
    tensor = pipeline.prepare(pixels, "bgr").tensor

    def by(*, wanted: bool) -> Callable[[], object]:
        def run() -> object:
            with native.using(wanted):
                return pipeline.labels(pixels, "bgr")

        return run

    ways = {"numpy": by(wanted=False), "native": by(wanted=True)}
    equal = np.array_equal(ways["numpy"](), ways["native"]())  # type: ignore[arg-type]
    candidates = {"engine": lambda: pipeline.run(tensor), **ways}
    times = timing.interleave(candidates, rounds=options.rounds, clock=time.process_time)
    engine = times["engine"].median
    shares = [f"{times[name].median - engine:.1f} ms, {(times[name].median - engine) / engine:.1%}" for name in ways]
    pipeline.close()
    return [network.name, "x".join(map(str, size)), str(times["engine"]), *shares, "yes" if equal else "NO"]


def main() -> None:
    """Measure each network at each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--size", nargs="+", default=["1024x2048"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--target", default="onnxruntime")
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--configs", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    table = Table("network", "size", "engine ms", "outside, NumPy", "outside, native", "equal")
    with keeping(options.packages) as folder:
        for name in options.networks:
            for text in options.size:
                height, width = map(int, text.split("x"))
                table.add_row(*measure(find_network(name, options.configs), (height, width), folder, options))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
