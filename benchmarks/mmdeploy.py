"""From a decoded image to the mask: Segship's packages against MMDeploy's own runtime, on the same weights.

::

    python benchmarks/mmdeploy.py [NETWORK ...] --python PYTHON [--size 512x1024 1024x2048] [--rounds 9] [--threads 2]
        [--targets onnxruntime,openvino,openvino-int8] [--packages FOLDER] [--configs FOLDER] [--build] [--write]

PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1; it opens the folder that ``--layout mmdeploy`` writes.
Networks, weights and packages are those of engines.py. The image has the network's own size. *ratio* is
mmdeploy_runtime / Segship, of medians in one interleaved run: above 1 is faster.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import segship
from engines import parser_of, row_of, show
from packages import SCENES, Network, find_network, keeping, mmdeploy_package_of, package_of
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from timing import interleave

WORKER = """
import sys
import numpy
from mmdeploy_runtime import Segmentor
segmentor = Segmentor(model_path=sys.argv[1], device_name="cpu", device_id=0)
image = numpy.load(sys.argv[2])
for _ in sys.stdin:
    segmentor(image)
    print("done", flush=True)
"""


class Runtime:
    """mmdeploy_runtime in a process of its own."""

    def __init__(self, python: str, folder: Path, image: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-c", WORKER, str(folder), str(image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self) -> None:
        """Make one mask."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.strip() == "done":
                return
        raise RuntimeError(f"mmdeploy_runtime stopped with status {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def measure(network: Network, size: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The medians of one network."""
    height, width = map(int, size.split("x"))
    image = np.asarray(cv2.resize(read_image(find_images([SCENES])[0]), (width, height)), np.uint8)
    pixels = folder / f"image-{size}.npy"
    np.save(pixels, image)
    theirs = mmdeploy_package_of(network, (height, width), folder)
    ours: dict[str, Any] = {}
    for target in options.targets.split(","):
        package = package_of(network, target, (height, width), folder)
        segmentor = segship.Segmentor(package, threads=options.threads, channel_order="bgr")
        ours[target] = lambda segmentor=segmentor: segmentor(image)
    runtime = Runtime(options.python, theirs, pixels)
    try:
        times = interleave({"mmdeploy": runtime, **ours}, rounds=options.rounds)
    finally:
        runtime.close()
    return row_of(network, size, options, times)


def main() -> None:
    """Measure each network and print the table."""
    parser = parser_of(__doc__, 9)
    parser.add_argument("--python", required=True)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    networks = [find_network(text, options.configs) for text in options.networks]
    with keeping(options.packages) as folder:
        for network in networks:
            if options.build:
                print(mmdeploy_package_of(network, (512, 1024), folder))
                continue
            for size in options.size:
                show("mmdeploy", measure(network, size, options, folder), write=options.write)


if __name__ == "__main__":
    main()
