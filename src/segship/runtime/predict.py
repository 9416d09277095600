"""Masks of image files, written to a folder."""

from __future__ import annotations

import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.runtime.segmentor import Segmentor
from segship.vision.bands import read_pixels
from segship.vision.decode import MAX_PIXELS, find_images
from segship.vision.draw import write_jpeg
from segship.vision.palette import write_mask_png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["output_names", "predict"]


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


def predict(
    package: str | os.PathLike[str] | Segmentor,
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    *,
    opacity: float = 0.5,
    scores: bool = False,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``NAME.png`` (labels, palette embedded), ``NAME_overlay.jpg`` and, if asked for, ``NAME_scores.npz``.

    Args:
        package: A package, its path, or an opened `segship.Segmentor`.
        images: An image file or a folder of images, or several of these.
        to: Folder for the results; made if need be.
        opacity: Opacity of the mask in the overlay, 0-1.
        scores: Also write float16 (C, H, W) probabilities as ``scores`` of an .npz.
        device: As for `segship.Segmentor`.
        threads: As for `segship.Segmentor`.
        trust: As for `segship.Segmentor`.
        max_pixels: Refuse images with more pixels.
        progress: Called with (done, all) after each image.

    Returns:
        The label map of each image.

    Raises:
        InputError: An image cannot be read, a result cannot be written, or options are given for what is open.
        SegshipError: The package cannot be opened.

    Examples:
        >>> import segship
        >>> [path.name for path in segship.predict("package", "images", to="masks")]
        ['a.png', 'b.png']
    """
    if isinstance(package, Segmentor):
        if (device, threads, trust) != (None, None, False):
            raise InputError("an opened Segmentor runs as it was opened: device, threads and trust are for paths")
        return _predict(package, images, Path(to), opacity, max_pixels, progress, scores=scores)
    with Segmentor(package, device=device, threads=threads, trust=trust) as segmentor:
        return _predict(segmentor, images, Path(to), opacity, max_pixels, progress, scores=scores)


def _predict(
    segmentor: Segmentor,
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: Path,
    opacity: float,
    max_pixels: int,
    progress: Callable[[int, int], None] | None,
    *,
    scores: bool,
) -> list[Path]:
    files = find_images([images] if isinstance(images, (str, os.PathLike)) else images)
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
    return [to / f"{name}.png" for name in names]


def _write(segmentor: Segmentor, image: NDArray[np.uint8], stem: Path, opacity: float, *, scores: bool) -> None:
    mask: NDArray[Any] = segmentor(image, channel_order="bgr")
    rgb = image if segmentor.spec.pixels == "multispectral" else np.ascontiguousarray(image[:, :, ::-1])
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_mask_png(stem.with_name(f"{stem.name}.png"), mask, segmentor.spec.palette)
    write_jpeg(stem.with_name(f"{stem.name}_overlay.jpg"), segmentor.draw(rgb, mask, opacity))
    if scores:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, scores=segmentor.scores(image, channel_order="bgr").astype(np.float16))
        write_atomically(stem.with_name(f"{stem.name}_scores.npz"), buffer.getvalue())
