"""Masks of image files, written to a folder."""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.files import write_atomically
from segship.vision.bands import read_pixels
from segship.vision.draw import write_jpeg
from segship.vision.palette import write_mask_png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.runtime.segmentor import Segmentor

__all__ = ["output_names", "predict_files"]


def output_names(files: Sequence[Path]) -> list[str]:
    """A distinct name for each file: its stem, numbered from the second of the same stem on.

    Args:
        files: Image files.
    """
    taken: set[str] = set()
    names = []
    for file in files:
        numbered = (f"{file.stem}_{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([file.stem], numbered) if name not in taken)
        taken.add(name)
        names.append(name)
    return names


def predict_files(
    segmentor: Segmentor,
    files: Sequence[Path],
    to: Path,
    *,
    opacity: float = 0.5,
    scores: bool = False,
    max_pixels: int = 100_000_000,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``NAME.png`` (labels, palette embedded), ``NAME_overlay.jpg`` and, if asked for, ``NAME_scores.npz``.

    Args:
        segmentor: An opened package.
        files: Image files.
        to: Folder for the results; made if need be.
        opacity: Of the mask in the overlay, 0-1.
        scores: Also write float16 (C, H, W) probabilities as ``scores`` of an .npz.
        max_pixels: Refuse images with more pixels.
        progress: Called with (done, all) after each image.

    Raises:
        InputError: An image cannot be read, or a result cannot be written.
    """
    names = output_names(files)
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(read_pixels, file, segmentor.spec, max_pixels=max_pixels) for file in files[:1]]
        for index, name in enumerate(names):
            image = waiting.pop(0).result()
            if index + 1 < len(files):
                waiting.append(pool.submit(read_pixels, files[index + 1], segmentor.spec, max_pixels=max_pixels))
            _write(segmentor, image, to / name, opacity, scores=scores)
            if progress is not None:
                progress(index + 1, len(files))


def _write(segmentor: Segmentor, image: NDArray[np.uint8], stem: Path, opacity: float, *, scores: bool) -> None:
    mask: NDArray[Any] = segmentor(image, channel_order="bgr")
    rgb = image if segmentor.spec.pixels == "stored" else np.ascontiguousarray(image[:, :, ::-1])
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_mask_png(stem.with_name(f"{stem.name}.png"), mask, segmentor.spec.palette)
    write_jpeg(stem.with_name(f"{stem.name}_overlay.jpg"), segmentor.draw(rgb, mask, opacity))
    if scores:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, scores=segmentor.scores(image, channel_order="bgr").astype(np.float16))
        write_atomically(stem.with_name(f"{stem.name}_scores.npz"), buffer.getvalue())
