"""One file from the image to the mask (``--embed pre,post``) against the package of the same network.

::

    python benchmarks/embed.py [NETWORK ...] [--size 512x1024 1024x2048] [--rounds 9] [--threads 1]
        [--packages FOLDER] [--configs FOLDER] [--image FILE]

Networks are those of packages.py (``NAME=CONFIG,CHECKPOINT`` for trained ones). The image has the network's own size.
*ratio* is whole file / package, of medians of processor time in one interleaved run: below 1 the file is faster.
*borders* is the share of blocks of 8x8 pixels in which classes meet: the more, the more both have to interpolate;
random weights have many. *equal* is the share of equal labels.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import segship
import timing
from packages import NETWORKS, SCENES, Network, find_network, keeping, overrides, weights_of
from segship import Segmentor
from segship.core.errors import SegshipWarning
from segship.vision.decode import read_image
from segship.vision.image_files import find_images

LIMIT = 1.15


def measure(network: Network, size: tuple[int, int], folder: Path, options: argparse.Namespace) -> list[str]:
    """One row of the table."""
    plain, whole = (_package(network, size, folder, embed) for embed in ("", "pre,post"))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(str(whole / "model.onnx"), settings)
    image = _image(options.image, size)
    with Segmentor(plain, threads=options.threads) as segmentor:
        candidates = {"package": lambda: segmentor(image), "file": lambda: session.run(["mask"], {"image": image})}
        expected, found = segmentor(image), session.run(["mask"], {"image": image})[0]
        times = timing.interleave(candidates, rounds=options.rounds, clock=time.process_time)
    ratio = times["file"].median / times["package"].median
    return [
        network.name,
        "x".join(map(str, size)),
        *(str(times[name]) for name in candidates),
        f"{ratio:.2f}{'' if ratio <= LIMIT else ' !'}",
        f"{_borders(expected):.0%}",
        f"{(expected == found).mean():.6%}",
    ]


def _package(network: Network, size: tuple[int, int], folder: Path, embed: str) -> Path:
    out = folder / f"{network.name}_{'x'.join(map(str, size))}_{embed or 'plain'}"
    if not out.is_dir():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SegshipWarning)
            weights, resize = weights_of(network, folder), overrides(size)
            segship.export(network.config, weights, out, embed=embed or (), allow_inexact=True, cfg_options=resize)
    return out


def _image(path: Path | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    image = read_image(path or find_images([SCENES])[0])
    return np.ascontiguousarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)[:, :, ::-1])


def _borders(mask: NDArray[Any], cell: int = 8) -> float:
    """The share of cells of 8 x 8 pixels that hold several labels."""
    rows, columns = (side // cell for side in mask.shape)
    cells = mask[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell)
    return float((cells.max(axis=(1, 3)) != cells.min(axis=(1, 3))).mean())


def main() -> None:
    """Measure each network at each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--size", nargs="+", default=["512x1024", "1024x2048"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--configs", type=Path)
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    table = Table("network", "size", "package ms", "file ms", "ratio", "borders", "equal")
    networks = [find_network(name, options.configs) for name in options.networks]
    with keeping(options.packages) as folder:
        for network in networks:
            for text in options.size:
                height, width = map(int, text.split("x"))
                table.add_row(*measure(network, (height, width), folder, options))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
