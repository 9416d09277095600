"""Two networks on the same images: pictures of those on which they differ most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.datasets.label_encoding import IGNORE
from segship.evaluation.counter import remap_labels
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import contact_sheet, overlay, write_jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.evaluation.counter import WorkerEngines
    from segship.evaluation.job import Job
    from segship.evaluation.result import SecondNetwork

__all__ = ["draw_differences"]

_MARK = (255, 0, 80)  # of pixels that differ


def draw_differences(job: Job, networks: WorkerEngines, found: SecondNetwork, to: Path, *, most: int = 8) -> int:
    """Write a picture of each image on which two networks differ most, as ``01_NAME.jpg`` and so on.

    Image, truth, both masks, and where they differ, side by side.

    Args:
        job: What was evaluated.
        networks: Both networks.
        found: What was found.
        to: Folder for the pictures.
        most: How many.

    Returns:
        How many were written.

    Raises:
        InputError: A picture cannot be written.
    """
    places = found.places[:most]
    for number, place in enumerate(places, start=1):
        sample = job.samples[place]
        image = read_pixels(sample.image, networks[0].spec)
        truth = job.counter.encoding.read(sample).labels
        masks = [network(image, channel_order="bgr") for network in networks]
        masks[1] = remap_labels(masks[1], job.counter.translate)
        rgb = as_picture(image)
        pictures = _row(rgb, truth, masks, networks[0].spec.palette, job.counter.outputs.folders.opacity)
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
