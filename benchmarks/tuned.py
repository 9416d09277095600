"""From a decoded image to the mask: a package against MMDeploy's own runtime and eager torch, on the same weights.

::

    python benchmarks/tuned.py PACKAGE CONFIG CHECKPOINT IMAGE --python PYTHON [--rounds 15] [--threads 2]

PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1 and NumPy below 2. The package has its own threads.
All take turns; *ratio* is theirs / the package's, of medians: above 1 the package is faster. It is printed with the
processor's features and the load.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

import segship
from mmdeploy import Runtime
from segship.core.processor import processor, processors
from segship.deploy import export_mmdeploy
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.vision.decode import read_image
from timing import interleave


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("package", "config", "checkpoint", "image"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    image = read_image(options.image)
    source = segship.Source(options.config, options.checkpoint)
    loaded = source.load()
    eager = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch, segship.Segmentor(options.package, channel_order="bgr") as segmentor:
        folder, pixels = Path(scratch) / "mmdeploy", Path(scratch) / "image.npy"
        export_mmdeploy(source, folder)
        np.save(pixels, image)
        runtime = Runtime(options.python, folder, pixels)
        try:
            times = interleave(
                {
                    "package": lambda: segmentor(image),
                    "mmdeploy_runtime": runtime,
                    "eager torch": lambda: eager.labels(image, "bgr"),
                },
                rounds=options.rounds,
            )
        finally:
            runtime.close()
        target = segmentor.manifest.target
    for name, time in times.items():
        print(f"{name:20} {time} ms, ratio {time.median / times['package'].median:.2f}")
    load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{target}, image {'x'.join(map(str, image.shape[:2]))}, {processors()} x {processor()}, {load}")


if __name__ == "__main__":
    main()
