"""A raster as a network wants it, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.rasters.source import Raster
    from segship.runtime.scene_plan import ScenePlan

__all__ = ["SceneReader", "choose_bands"]

_GREY, _COLOURS = 1, 3


def choose_bands(raster: Raster, spec: ModelSpec, bands: Sequence[int] | None) -> None:
    """Choose the bands that a network sees.

    Args:
        raster: Has the bands chosen afterwards.
        spec: What the network expects.
        bands: Those that somebody asks for; None: all, without the one that says how opaque a pixel is.

    Raises:
        InputError: There are too few or too many, or their numbers are of another kind.
    """
    wanted = (spec.channels,) if spec.pixels == "multispectral" else (_GREY, _COLOURS)
    every = tuple(range(1, raster.count + 1))
    found = tuple(bands or every)
    if bands is None and raster.count not in wanted:
        found = tuple(band for band in every if band not in raster.alpha)
    if len(found) not in wanted:
        hint = f": choose them with --bands, as --bands {','.join(str(number + 1) for number in range(wanted[-1]))}"
        raise InputError(
            f"{raster.path} has {raster.count} band{'s' * (raster.count > 1)}, this network takes "
            f"{' or '.join(map(str, wanted))}{hint if raster.count >= wanted[-1] else ''}"
        )
    raster.select(found)
    if spec.pixels == "uint8" and raster.dtype not in ("uint8", "uint16"):
        raise InputError(
            f"{raster.path} holds {raster.dtype} numbers, this network takes photographs of uint8 or uint16: convert it"
        )


class SceneReader:
    """Reads and prepares the windows of a plan.

    Args:
        raster: With its bands chosen.
        plan: Where the windows lie, and what prepares them.
        raw: The engine prepares images itself.
    """

    def __init__(self, raster: Raster, plan: ScenePlan, *, raw: bool) -> None:
        self._raster, self._plan, self._raw = raster, plan, raw
        self._whole_numbers = plan.spec.pixels == "uint8"
        self._bare = plan.spec.model_copy(update={"geometry": (), "padding": None})

    def hold(self, rows: slice) -> None:
        """Tell which rows of the raster the next windows are of."""
        if self._plan.seen == self._plan.size:
            self._raster.hold(rows)

    def rows(self, lines: Sequence[int], columns: Sequence[int]) -> slice:
        """Return which rows of the raster windows see.

        Args:
            lines: Their lines in the grid, ascending.
            columns: Their columns in the grid, ascending.
        """
        first, last = (
            self._place(places[0], places[1]) for places in ((lines[0], columns[0]), (lines[-1], columns[-1]))
        )
        ends = [end for rows in (first[0], last[0]) for end in (rows.start, rows.stop)]
        return slice(min(ends), max(ends))

    def _place(self, line: int, column: int) -> tuple[slice, slice]:
        """Rows and columns, of the raster as it is seen, that a window shows."""
        windows, seen = self._plan.windows, self._plan.seen
        (height, width), (top, left) = self._plan.turn.size(seen), (windows.tops[line], windows.lefts[column])
        rows = slice(top, min(top + windows.window[0], height))
        return self._plan.turn.stored((rows, slice(left, min(left + windows.window[1], width))), seen)

    def pixels(self, line: int, column: int) -> NDArray[Any] | None:
        """(H, W, C) of a window, as the raster lies; None: none of its pixels has a value. For one thread."""
        rows, columns = self._place(line, column)
        valid = self._raster.valid(*self._in_raster(rows, columns))
        return self._pixels(rows, columns) if valid is None or valid.any() else None

    def tensor(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """What the engine is given for what `pixels` returned of a window; for any thread."""
        plan = self._plan
        if self._raw:
            return np.ascontiguousarray(pixels)
        if plan.within:
            turned, flip = plan.turn.turn(pixels), plan.turn.flip
            return prepare(turned, plan.spec, channel_order="rgb", flip=flip, flip_before=plan.flip_before).tensor
        return self._padded(prepare(plan.turn.apply(pixels), self._bare, channel_order="rgb").tensor)

    def _padded(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The window of a padded raster."""
        window, padding = self._plan.windows.window, self._plan.spec.padding
        if tensor.shape[2:] == window or padding is None:
            return tensor
        padded = np.full((*tensor.shape[:2], *window), padding.value, np.float32)
        padded[:, :, : tensor.shape[2], : tensor.shape[3]] = tensor
        return padded

    def _in_raster(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """The rectangle of the raster that one of the raster as it is seen shows, in whole pixels."""
        if self._plan.seen == self._plan.size:
            return rows, columns
        found = []
        for part, seen, length in zip((rows, columns), self._plan.seen, self._plan.size, strict=True):
            begin, end = int(part.start * length / seen), -(-part.stop * length // seen)
            found.append(slice(begin, min(max(end, begin + 1), length)))
        return found[0], found[1]

    def _pixels(self, rows: slice, columns: slice) -> NDArray[Any]:
        """(H, W, C): RGB of uint8, or all bands as they are stored."""
        shape = None
        source = rows, columns
        if self._plan.seen != self._plan.size:
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            ratio = [length / seen for length, seen in zip(self._plan.size, self._plan.seen, strict=True)]
            source = (
                slice(rows.start * ratio[0], rows.stop * ratio[0]),
                slice(columns.start * ratio[1], columns.stop * ratio[1]),
            )
        planes = self._raster.read(*source, shape)
        return self._photograph(planes) if self._whole_numbers else self._numbers(np.moveaxis(planes, 0, 2))

    def _photograph(self, planes: NDArray[Any]) -> NDArray[np.uint8]:
        if planes.dtype == np.uint16:
            planes = (planes >> 8).astype(np.uint8)  # what decoders keep of 16 bits
        if (colours := self._raster.colours) is not None:
            painted: NDArray[np.uint8] = colours[planes[0]]
            return painted
        every = [*planes] * (_COLOURS if len(planes) == _GREY else 1)
        return np.asarray(cv2.merge(every), np.uint8)  # fifty times sooner than NumPy lays planes together

    def _numbers(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Bands as they are stored; where there is no number, the mean of the band."""
        if pixels.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            pixels = pixels.astype(np.float32)
            mean = np.asarray(self._plan.spec.normalization.mean, np.float32)
            np.copyto(pixels, mean, where=~np.isfinite(pixels))
        return pixels
