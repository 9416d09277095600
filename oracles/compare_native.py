"""Masks of the native library against Python's, and both against recorded label maps, of every image of a folder.

    python oracles/compare_native.py PACKAGE IMAGES [--labels FILE.npz [--network CONFIG CHECKPOINT]]
        [--library build/native/libsegship.so]

``--labels`` holds a label map for each image, under the name of its file. An engine rounds otherwise than the framework
that the label maps come of, and where two classes are equal but for that, Python's masks differ from them, too: beside
such pixels stands by how much the probability of the first class leads; with ``--network``, what the network says there
when it is computed in float64 (one that sees the image as a whole), and how many maps it gives itself, in float32.
``SEGSHIP_ONNXRUNTIME`` and ``SEGSHIP_OPENVINO`` name the engines' libraries; take Python's own, so that both run the
same. The status is the number of images whose mask is not Python's, at most 100. Build the library first::

    cmake -S native -B build/native && cmake --build build/native
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]
import segship
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from segship.vision.preprocess import inverse_steps, prepare
from support.native import Library, Segmentor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec


def lead_of(python: segship.Segmentor, image: NDArray, places: NDArray) -> float:
    """By how much the probability of the first class is above the second's, at most, at some pixels."""
    second, first = np.partition(python.scores(image, channel_order="bgr")[:, places], -2, axis=0)[-2:]
    return float((first - second).max())


def by_torch(network: Any, spec: ModelSpec, image: NDArray, dtype: torch.dtype) -> torch.Tensor:
    """Logits (classes, height, width) at the image's own size, every step by PyTorch, in the network's ``dtype``."""
    with torch.inference_mode():
        logits = network.logits(torch.from_numpy(prepare(image, spec, channel_order="bgr").tensor).to(dtype))
        for step in inverse_steps(spec, image.shape[:2]):
            (top, left), (height, width) = step.origin, step.crop or step.size
            logits = torch.nn.functional.interpolate(
                logits, size=step.size, mode="bilinear", align_corners=spec.align_corners
            )[..., top : top + height, left : left + width]
    return logits[0]


def tell_truth(logits: torch.Tensor, found: NDArray, recorded: NDArray) -> None:
    """Print the two first classes of each pixel whose label differs."""
    for y, x in np.argwhere(found != recorded):
        values, classes = logits[:, y, x].topk(2)
        print(
            f"    row {y}, column {x}: {found[y, x]}, recorded {recorded[y, x]}; in float64 class {classes[0]} has "
            f"{values[0]:.6f}, {values[0] - values[1]:.1e} more than class {classes[1]}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--network", nargs=2, type=Path, metavar=("CONFIG", "CHECKPOINT"))
    parser.add_argument("--library", type=Path, default=ROOT / "build" / "native" / "libsegship.so")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """Print each image that differs and how many are equal."""
    options = _options()
    native = Segmentor(Library(options.library), options.package, threads=options.threads)
    python = segship.Segmentor(options.package, threads=options.threads)
    recorded = np.load(options.labels) if options.labels else {}
    network, double = (segship.load_network(*options.network) if options.network else None for _ in range(2))
    torch.set_num_threads(options.threads)
    wrong = other = itself = 0
    images = find_images([options.images])
    for path in images:
        image = read_image(path)
        mask, expected = native.mask(image, "bgr"), python(image, channel_order="bgr")
        if differ := int((mask != expected).sum()):
            print(f"{path.name}: {differ} of {expected.size} pixels are not Python's")
        if options.labels and (unlike := mask != recorded[path.name]).any():
            lead = lead_of(python, image, unlike)
            print(
                f"{path.name}: {unlike.sum()} of {expected.size} pixels are not as recorded, led by {lead:.1e} at most"
            )
            if double is not None:
                tell_truth(by_torch(double.double(), python.spec, image, torch.float64), mask, recorded[path.name])
            other += 1
        if network is not None:
            labels = by_torch(network, python.spec, image, torch.float32).argmax(0).numpy()
            itself += bool((labels == recorded[path.name]).all())
        wrong += differ > 0
    print(f"{options.package.name}, {native.engine}: {len(images) - wrong} of {len(images)} masks are Python's")
    if options.labels:
        print(f"{len(images) - other} of {len(images)} are as recorded")
        if network is not None:
            print(f"{itself} of {len(images)} are by PyTorch itself, with {options.threads} threads")
    return min(wrong, 100)


if __name__ == "__main__":
    sys.exit(main())
