"""The image files that are timed: the user's, or scenes that come with Segship, as each network wants them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.files import DEMO
from segship.vision.bands import read_pixels, synthesize_bands
from segship.vision.decode import read_image
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec

__all__ = ["Pictures"]

_MOST, _MOST_MADE = 64, 16  # files that are used, and that are made


class Pictures:
    """Image files for networks that take photographs, and for networks that take bands as they are stored.

    Args:
        images: Image files or folders; none: the scenes, from which bands are made where a network wants more of them.
        size: (height, width) that they are brought to; None: their own.
        folder: Where files are written that have to be made.

    Raises:
        InputError: A file or folder is not there, or holds no image.
    """

    def __init__(self, images: Sequence[str | os.PathLike[str]], size: tuple[int, int] | None, folder: Path) -> None:
        self._given = bool(images)
        self._files = find_images([Path(image) for image in images] or [DEMO / "images"])[:_MOST]
        self._size, self._folder = size, folder
        self._made: dict[str, tuple[Path, ...]] = {}

    def of(self, spec: ModelSpec) -> tuple[Path, ...]:
        """The files for one network.

        Args:
            spec: What it expects.

        Returns:
            At least one file.

        Raises:
            InputError: A file cannot be read, or has another number of bands.
        """
        stored = spec.pixels == "multispectral"
        if self._size is None and (self._given or not stored):
            return tuple(self._files)
        key = repr((spec.normalization, spec.channels)) if stored else ""
        if key not in self._made:
            self._made[key] = self._make(spec, self._folder / str(len(self._made)))
        return self._made[key]

    def _make(self, spec: ModelSpec, folder: Path) -> tuple[Path, ...]:
        folder.mkdir()
        made = []
        for number, file in enumerate(self._files[:_MOST_MADE]):
            pixels = read_pixels(file, spec) if self._given else synthesize_bands(read_image(file), spec)
            pixels = pixels if self._size is None else _resized(pixels, self._size)
            photograph = ".png" if file.suffix == ".png" else ".jpg"
            path = folder / f"{number:02d}{'.npy' if spec.pixels == 'multispectral' else photograph}"
            if path.suffix == ".npy":
                np.save(path, pixels)
            else:
                cv2.imwrite(str(path), pixels)
            made.append(path)
        return tuple(made)


def _resized(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Band by band: OpenCV takes four at once, at most."""
    bands = [
        cv2.resize(np.ascontiguousarray(pixels[:, :, band]), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        for band in range(pixels.shape[2])
    ]
    return np.stack(bands, axis=2)
