"""From a decoded image to the mask: Segship's packages against MMDeploy's own runtime, on the same weights.

::

    python benchmarks/mmdeploy.py CONFIG [CONFIG ...] --python PYTHON [--size 512x1024] [--rounds 9] [--json FILE]
        [--targets onnxruntime,openvino,onnxruntime-int8,openvino-int8] [--packages FOLDER]

PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1; it opens the folder that ``--layout mmdeploy`` writes.
The image has the network's own size. Weights are random, from a fixed seed, and no gate is asked: this is speed only.
*ratio* is mmdeploy_runtime / Segship, of medians in one interleaved run: above 1 is faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import segship
from engines import SCENES, keeping, package_of, resize, weights_of
from segship.deploy import export_mmdeploy
from segship.vision.decode import find_images, read_image
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


def measure(config: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The medians of one network."""
    height, width = map(int, options.size.split("x"))
    image = np.asarray(cv2.resize(read_image(find_images([SCENES])[0]), (width, height)), np.uint8)
    pixels, theirs = folder / f"image-{options.size}.npy", folder / f"{Path(config).stem}-{options.size}-mmdeploy"
    np.save(pixels, image)
    if not theirs.is_dir():
        export_mmdeploy(config, weights_of(config, folder), theirs, cfg_options=resize((height, width)))
    runtime = Runtime(options.python, theirs, pixels)
    candidates: dict[str, Any] = {"mmdeploy": runtime}
    for target in options.targets.split(","):
        package = package_of(config, target, (height, width), folder)
        segmentor = segship.Segmentor(package, threads=options.threads, channel_order="bgr")
        candidates[target] = lambda segmentor=segmentor: segmentor(image)
    try:
        times = interleave(candidates, rounds=options.rounds)
    finally:
        runtime.close()
    return {"network": Path(config).stem.split("_")[0], "times": {name: vars(time) for name, time in times.items()}}


def main() -> None:
    """Measure each network and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--python", required=True)
    parser.add_argument("--size", default="512x1024")
    parser.add_argument("--targets", default="onnxruntime,openvino,onnxruntime-int8,openvino-int8")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    console = Console(stderr=True)
    with keeping(options.packages) as folder:
        results = [measure(config, options, folder) for config in track(options.configs, "networks", console=console)]
    names = options.targets.split(",")
    table = Table("network", "mmdeploy ms", *names)
    for row in results:
        base = row["times"]["mmdeploy"]
        ratios = (f"{base['median'] / row['times'][name]['median']:.2f}" for name in names)
        table.add_row(row["network"], f"{base['median']:.0f} ({base['low']:.0f}-{base['high']:.0f})", *ratios)
    Console(width=160).print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
