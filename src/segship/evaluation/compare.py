"""Two networks on the same images: pictures of those on which they differ most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.datasets.coding import IGNORE, match_classes
from segship.evaluation.counter import remap_labels
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import contact_sheet, overlay, write_jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.evaluation.counter import Lane
    from segship.evaluation.job import Job
    from segship.evaluation.result import Comparison

__all__ = ["draw_differences", "translation"]

_MARK = (255, 0, 80)  # of pixels that differ


def translation(first: ModelSpec, second: ModelSpec) -> tuple[int, ...]:
    """The first network's class for each class of the second; empty: the same.

    Raises:
        InputError: One has classes that the other lacks.
    """
    found = match_classes(second.classes, first.classes)
    if IGNORE in found:
        more = [name for name, place in zip(second.classes, found, strict=True) if place == IGNORE]
        raise InputError(f"the second network has classes that the first lacks: {', '.join(map(repr, more[:3]))}")
    return found


def draw_differences(job: Job, lane: Lane, found: Comparison, to: Path, *, most: int = 8, opacity: float = 0.5) -> int:
    """Write a picture of each image on which two networks differ most, as ``01_NAME.jpg`` and so on.

    Image, truth, both masks, and where they differ, side by side.

    Args:
        job: What was evaluated.
        lane: Both networks.
        found: What was found.
        to: Folder for the pictures.
        most: How many.
        opacity: Of the masks.

    Returns:
        How many were written.

    Raises:
        InputError: A picture cannot be written.
    """
    places = found.places[:most]
    for number, place in enumerate(places, start=1):
        sample = job.samples[place]
        image = read_pixels(sample.image, lane[0].spec)
        truth = job.counter.coding.read(sample).labels
        masks = [network(image, channel_order="bgr") for network in lane]
        masks[1] = remap_labels(masks[1], job.counter.translate)
        rgb = as_picture(image)
        pictures = _row(rgb, truth, masks, lane[0].spec.palette, opacity)
        titles = ("image", "truth", "first", "second", f"{found.images[number - 1][1]:.2f} % differ")
        sheet = contact_sheet(pictures, titles=titles, columns=len(titles), width=480)
        write_jpeg(to / f"{number:02d}_{sample.name.replace('/', '_')}.jpg", sheet)
    return len(places)


def _row(
    rgb: NDArray[np.uint8],
    truth: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    palette: Sequence[tuple[int, int, int]],
    opacity: float,
) -> list[NDArray[np.uint8]]:
    grey = np.repeat(rgb.mean(2, keepdims=True), 3, 2).astype(np.uint8) // 2 + 96
    grey[(masks[0] != masks[1]) & (truth != IGNORE)] = _MARK
    return [rgb, *(overlay(rgb, mask, palette, opacity) for mask in (truth, *masks)), grey]
