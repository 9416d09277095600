"""Ultralytics' labels of segmentation: a line for each connected region, its class and its outline.

Coordinates are shares of the image's sides. Whoever reads them multiplies by these, rounds or cuts off, and fills with
OpenCV, which draws the outline too; so the outline runs through pixels, a quarter beside their upper left corners: both
ways of reading give each pixel again. A line holds one outline, so that a hole is joined to what is above it by a way
there and back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from segship.vision.regions import as_polygons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from segship.formats.masks.labelled import Labelled, Meaning, Parts

__all__ = ["data", "lines"]

_CENTRE, _ASIDE = 0.5, 0.25


def lines(labelled: Labelled) -> str:
    """The labels of an image.

    Args:
        labelled: A label map.
    """
    height, width = labelled.mask.shape
    found = []
    for region in as_polygons(labelled.mask):
        if region["label"] < len(labelled.meaning.classes):
            places = (_joined(region["rings"]) - _ASIDE) / (width, height)
            found.append(f"{region['label']} " + " ".join(f"{place:.7g}" for place in places.reshape(-1)) + "\n")
    return "".join(found)


def data(_: Parts, meaning: Meaning) -> Iterator[str]:
    """The text of ``data.yaml``; the images are looked for in ``images`` beside the labels' folder.

    Args:
        meaning: Of the labels.
    """
    yield "train: ../images\nval: ../images\nnames:\n"
    for label, name in enumerate(meaning.classes):
        yield f"  {label}: {json.dumps(name, ensure_ascii=False)}\n"  # a string of JSON is one of YAML


def _joined(rings: Sequence[list[list[int]]]) -> NDArray[np.float64]:
    """One outline (n, 2) of a region, through the centres of its outermost pixels."""
    borders = [np.asarray(ring[:-1], float) for ring in rings]
    inner = [_through_centres(border, hole=number > 0) for number, border in enumerate(borders)]
    border, line = borders[0], inner[0]
    for hole in sorted(range(1, len(rings)), key=lambda number: borders[number][:, 1].min()):
        border, line = _with_hole(border, line, borders[hole], inner[hole])
    return line


def _through_centres(border: NDArray[np.float64], *, hole: bool) -> NDArray[np.float64]:
    """The corners of a border, moved into the region by half a pixel in x and y."""
    after = np.roll(border, -1, 0)
    along = np.sign(after - border)
    turned = np.sum(border[:, 0] * after[:, 1] - after[:, 0] * border[:, 1]) > 0
    inwards = np.stack([-along[:, 1], along[:, 0]], 1) * (1 if turned != hole else -1)
    moved: NDArray[np.float64] = border + _CENTRE * (inwards + np.roll(inwards, 1, 0))
    return moved


def _with_hole(
    border: NDArray[np.float64], line: NDArray[np.float64], hole: NDArray[np.float64], around: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Join a hole to the nearest border above its first pixel, by a way through the middle of that pixel's column."""
    top = hole[:, 1].min()
    column = hole[hole[:, 1] == top, 0].min() + _CENTRE
    above = np.flatnonzero(_crosses(border, column) & (border[:, 1] < top))
    there = int(above[border[above, 1].argmax()])
    here = int(np.flatnonzero(_crosses(hole, column) & (hole[:, 1] == top))[0])
    joined = []
    for outer, inner in ((border, hole), (line, around)):
        leave, arrive = [[column, outer[there, 1]]], [[column, inner[here, 1]]]
        ring = np.roll(inner, -here - 1, 0)
        joined.append(np.concatenate([outer[: there + 1], leave, arrive, ring, arrive, leave, outer[there + 1 :]]))
    return joined[0], joined[1]


def _crosses(border: NDArray[np.float64], column: float) -> NDArray[np.bool_]:
    """Which corners are followed by a level edge across a column."""
    after = np.roll(border, -1, 0)
    crosses: NDArray[np.bool_] = ((border[:, 0] < column) != (after[:, 0] < column)) & (border[:, 1] == after[:, 1])
    return crosses
