"""Rasters as samples: labelled by windows and counted block by block, in flat memory."""

from __future__ import annotations

from collections import Counter as Sums
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.core.errors import InputError
from segship.datasets.label_encoding import IGNORE
from segship.rasters.gdal import has_rasterio
from segship.rasters.source import Raster
from segship.runtime.scene_files import is_scene
from segship.runtime.segmentor import Segmentor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.datasets.label_encoding import LabelEncoding, Truth
    from segship.datasets.samples import Sample
    from segship.runtime.scene import Scene
    from segship.runtime.scene_plan import SceneOptions

__all__ = ["GroundMismatchError", "LabelledBlocks", "can_see_scenes", "is_seen_by_windows"]

_COLOURS = 3


class GroundMismatchError(InputError):
    """An image and its label map lie on different ground."""


def can_see_scenes(networks: Sequence[object]) -> bool:
    """Return whether networks see rasters through windows: packages do.

    Args:
        networks: Opened.
    """
    return all(isinstance(network, Segmentor) for network in networks)


def is_seen_by_windows(path: Path, max_pixels: int, options: SceneOptions | None) -> bool:
    """Return whether `segship.predict` would read an image by windows.

    Args:
        path: The image.
        max_pixels: Most pixels that are decoded at once.
        options: How rasters are seen, where somebody asked for it: then every image is one.
    """
    return (options is not None or is_scene(path, max_pixels)) and (options is not None or has_rasterio())


class LabelledBlocks:
    """The blocks of a raster with the labels of networks and the true ones.

    Close it, or use it in a ``with`` statement.

    Args:
        sample: Image and label map.
        networks: Each a `segship.Segmentor`.
        encoding: What the numbers of the label map mean.
        options: How the raster is seen.

    Attributes:
        unknown_values: As of `segship.datasets.label_encoding.Truth`, of the blocks so far.

    Raises:
        InputError: A file cannot be read, or the sizes differ.
        GroundMismatchError: Both say where they lie, and it is not the same place.
    """

    def __init__(
        self, sample: Sample, networks: Sequence[Any], encoding: LabelEncoding, options: SceneOptions | None
    ) -> None:
        assert sample.labels is not None  # noqa: S101  (asked by the caller)
        self._sample, self._encoding = sample, encoding
        self.unknown_values: Sums[str] = Sums()
        with ExitStack() as opened:
            self._scenes: list[Scene] = [
                opened.enter_context(network.scene(sample.image, options=options)) for network in networks
            ]
            self._labels = opened.enter_context(Raster(sample.labels))
            image = opened.enter_context(Raster(sample.image))
            self.sizes = self._labels.size, image.size
            """(height, width) of the label map and of the image."""
            if not image.lies_where(self._labels):
                raise GroundMismatchError(
                    f"{sample.labels} lies elsewhere on the ground than {sample.image}: bring it to the image's "
                    "coordinate reference system and transform, or take them away"
                )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._opened.close()

    def whole(self) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        """All labels of the networks and the true ones (H, W), in memory."""
        height, width = self.sizes[1]
        masks: list[NDArray[Any]] = [np.empty((height, width), scene.dtype) for scene in self._scenes]
        labels = np.empty((height, width), np.uint16)
        for rows, columns, found, truth in self.blocks():
            labels[rows, columns] = truth
            for mask, some in zip(masks, found, strict=True):
                mask[rows, columns] = some
        return masks, labels if labels.max(initial=0) > IGNORE else labels.astype(np.uint8)

    def blocks(self) -> Iterator[tuple[slice, slice, list[NDArray[Any]], NDArray[Any]]]:
        """Decide and read block after block.

        Yields:
            Its rows and columns, the labels (H, W) of each network, and the true ones, which are `IGNORE` where the
            raster has no value; there the networks' are no class's.
        """
        for several in zip(*(scene.blocks() for scene in self._scenes), strict=True):
            rows, columns = several[0].rows, several[0].columns
            truth = self._read(rows, columns)
            self.unknown_values.update(truth.unknown_values)
            nothing = several[0].labels >= len(self._scenes[0].spec.classes)
            labels = np.where(nothing, IGNORE, truth.labels) if nothing.any() else truth.labels
            yield rows, columns, [one.labels for one in several], labels

    def _read(self, rows: slice, columns: slice) -> Truth:
        stored = self._labels.read(rows, columns)
        if stored.dtype not in (np.uint8, np.uint16):
            wide = np.nan_to_num(stored.astype(np.float64), nan=-1)
            if (wide != np.rint(wide)).any() or wide.min() < 0 or wide.max() > np.iinfo(np.uint16).max:
                raise InputError(f"{self._sample.labels} holds {stored.dtype} that are no labels of 0 to 65535")
            stored = wide.astype(np.uint16)
        array = np.ascontiguousarray(stored[0] if len(stored) < _COLOURS else np.moveaxis(stored[:_COLOURS], 0, 2))
        return self._encoding.understand(str(self._sample.labels), array, self._sample.table)
