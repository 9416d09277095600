"""Packages of any network through the program of every language, against Python's masks, byte by byte.

    python oracles/compare_languages.py PACKAGE ... [--only c,java] [--sizes 1x1,1x500,333x77,97x160]

Images are the demo's scenes, resized to odd sizes (height x width), one pixel and one row among them. Where Python
refuses an image, the program has to say the same. Build the programs first (``make languages``). Prints a row for each
package and language; the status is the number of masks and messages that differ, at most 100.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "dev")]
from language_builds import BUILDS
from language_checks import read_mask
from segship import Segmentor
from segship.core.errors import SegshipError
from segship.vision.decode import read_image
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCENES = ROOT / "src" / "segship" / "assets" / "demo" / "images"
PROGRAMS = ROOT / "build" / "languages"


def write_images(sizes: list[tuple[int, int]], folder: Path) -> dict[str, tuple[Path, NDArray[np.uint8]]]:
    """A PPM of each size, and its pixels (height, width, 3), RGB."""
    found = {}
    scenes = [np.asarray(read_image(path))[:, :, ::-1] for path in find_images([SCENES])[: len(sizes)]]
    for number, (height, width) in enumerate(sizes):
        scene = scenes[number % len(scenes)]
        pixels = np.ascontiguousarray(cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        path = folder / f"{height}x{width}.ppm"
        path.write_bytes(f"P6\n{width} {height}\n255\n".encode() + pixels.tobytes())
        found[path.stem] = path, pixels
    return found


def mask_or_message(segmentor: Segmentor, pixels: NDArray[np.uint8]) -> NDArray[np.generic] | str:
    """What Python makes of an image."""
    try:
        return segmentor(pixels)
    except SegshipError as error:
        return f"error: {error}"


def compared(language: str, package: Path, image: Path, expected: NDArray[np.generic] | str, folder: Path) -> str:
    """``equal``, or what differs."""
    out = folder / f"{language}.pgm"
    out.unlink(missing_ok=True)
    done = subprocess.run(
        [PROGRAMS / language, package, image, out], capture_output=True, text=True, check=False, timeout=600
    )
    if isinstance(expected, str) and done.returncode == 2 and done.stderr.strip() == expected:
        return "equal"
    if done.returncode or isinstance(expected, str):
        return f"status {done.returncode}: {done.stderr.strip()}"
    found = read_mask(out)
    if found.shape != expected.shape or found.dtype.itemsize != expected.dtype.itemsize:
        return f"{found.dtype} {found.shape}, not {expected.dtype} {expected.shape}"
    return f"{differ} pixels" if (differ := int((found != expected).sum())) else "equal"


def main() -> int:
    """Print the rows; how many masks differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--only", default=",".join(BUILDS))
    parser.add_argument("--sizes", default="1x1,1x500,333x77,97x160")
    options = parser.parse_args()
    sizes = [(int(height), int(width)) for height, width in (size.split("x") for size in options.sizes.split(","))]
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = write_images(sizes, folder)
        for package in (path.resolve() for path in options.packages):
            with Segmentor(package, threads=1) as segmentor:
                expected = {name: mask_or_message(segmentor, pixels) for name, (_, pixels) in images.items()}
            told = (one if isinstance(one, str) else f"{len(np.unique(one))} classes" for one in expected.values())
            print(f"{package.name}: " + "; ".join(map(": ".join, zip(images, told, strict=True))), flush=True)
            for language in options.only.split(","):
                cells = [compared(language, package, images[name][0], mask, folder) for name, mask in expected.items()]
                wrong += sum(cell != "equal" for cell in cells)
                print(f"  {language:8} " + ", ".join(cells), flush=True)
    return min(wrong, 100)


if __name__ == "__main__":
    sys.exit(main())
