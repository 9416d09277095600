"""A label map as regions: the run lengths of each class, its polygons, its share of the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Region", "as_polygons", "as_rle", "bounding_box", "count_pixels", "run_lengths"]


class Region(TypedDict):
    """One connected region of a class.

    Attributes:
        label: The class.
        rings: Closed rings of (x, y), in pixels from the image's upper left corner: the outline, then each hole.
    """

    label: int
    rings: list[list[list[int]]]


def count_pixels(mask: NDArray[Any]) -> dict[int, int]:
    """The number of pixels of each label that occurs.

    Args:
        mask: Labels (H, W).
    """
    labels, counts = np.unique(mask, return_counts=True)
    return {int(label): int(count) for label, count in zip(labels, counts, strict=True)}


def as_polygons(mask: NDArray[Any]) -> list[Region]:
    """The regions of each class, whose outlines run along the borders of pixels: filled, they give the mask again.

    Pixels of a class that touch at a corner alone belong to two regions.

    Args:
        mask: Labels (H, W).

    Returns:
        In the order of the labels.
    """
    found: list[Region] = []
    for label in count_pixels(mask):
        inside = mask == label
        top, left, bottom, right = bounding_box(inside)
        inside = inside[top:bottom, left:right]
        found += [Region(label=label, rings=rings) for rings in _regions(inside, (left, top))]
    return found


def bounding_box(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, and the row and the column after the last, of what is in a mask that is not empty.

    Args:
        inside: Where it is, (H, W).
    """
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def run_lengths(inside: NDArray[np.bool_]) -> list[int]:
    """The lengths of runs, in turn of what is outside and inside; the first is 0 where it begins inside.

    Args:
        inside: In the order of the runs, (n,).
    """
    ends = np.flatnonzero(np.diff(inside, prepend=False, append=not inside[-1]))
    counts: list[int] = np.diff(ends, prepend=0).tolist()
    return counts


def _regions(inside: NDArray[np.bool_], offset: tuple[int, int]) -> list[list[list[list[int]]]]:
    """Rings of each connected region, the outline first."""
    padded = np.pad(inside, 1)
    count, component = cv2.connectedComponents(padded.astype(np.uint8), connectivity=4)
    outlines: list[list[list[list[int]]]] = [[] for _ in range(count)]
    holes: list[list[list[list[int]]]] = [[] for _ in range(count)]
    for ring in _rings(padded):
        x, y = ring[np.lexsort((ring[:, 0], ring[:, 1]))[0]]  # the first corner, by rows: at the lower right of it,
        here = int(component[y + 1, x + 1])  # the region begins, or one of its holes
        places = [*(ring + offset).tolist(), (ring[0] + offset).tolist()]
        (outlines[here] if here else holes[int(component[y, x + 1])]).append(places)
    return [[*outlines[number], *holes[number]] for number in range(1, count)]


def _rings(padded: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Closed lines of corners (n, 2), x and y, along the borders of a mask whose rim is empty.

    In each row of the lattice of pixels' corners, the turns of the border are the ends of its level pieces, two by two;
    in each column they are the ends of the upright ones.
    """
    upper, lower = padded[:-1], padded[1:]
    corners = upper[:, :-1].astype(np.uint8) + upper[:, 1:] + lower[:, :-1] + lower[:, 1:]
    falling = (corners == 2) & (upper[:, :-1] == lower[:, 1:]) & upper[:, :-1]  # two pixels that touch at a corner
    rising = (corners == 2) & (upper[:, :-1] == lower[:, 1:]) & ~upper[:, :-1]
    ys, xs = np.nonzero((corners % 2 == 1) | falling | rising)
    double = (falling | rising)[ys, xs]
    # Where two pixels touch at a corner the border turns twice, once around each: the left turn, then the right one.
    turn = np.repeat(np.arange(len(ys)), 1 + double)
    second = np.r_[False, turn[1:] == turn[:-1]]
    x, y = xs[turn], ys[turn]
    beneath = np.where(rising[y, x], ~second, second)  # which of the two goes down
    level, upright = _partners(np.lexsort((second, x, y))), _partners(np.lexsort((beneath, y, x)))
    rings, seen = [], np.zeros(len(turn), bool)
    for first in range(len(turn)):
        if seen[first]:
            continue
        ring, place = [], first
        while not seen[place]:
            other = level[place]
            seen[place] = seen[other] = True
            ring += [place, other]
            place = upright[other]
        rings.append(np.stack([x[ring], y[ring]], 1))
    return rings


def _partners(order: NDArray[np.int64]) -> list[int]:
    """Of each, the one beside it where they are taken two by two."""
    partner = np.empty(len(order), np.int64)
    partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    found: list[int] = partner.tolist()
    return found


def as_rle(mask: NDArray[Any]) -> list[dict[str, Any]]:
    """The run lengths of each class, in COCO's order: down the columns, beginning with what is not of the class.

    Args:
        mask: Labels (H, W).

    Returns:
        ``{"class": 3, "size": [H, W], "counts": [...]}`` for each class that occurs.
    """
    flat = mask.reshape(-1, order="F")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    found = []
    for label in np.unique(flat[starts]):
        runs = flat[starts] == label
        # Runs of other classes between two of this one are one run of "not this class".
        bounds = np.stack([starts[runs], starts[runs] + lengths[runs]], 1).reshape(-1)
        counts = np.diff(np.concatenate([[0], bounds, [flat.size]]))
        counts = counts if counts[-1] else counts[:-1]
        found.append({"class": int(label), "size": list(mask.shape), "counts": counts.tolist()})
    return found
