"""Run lengths of each class: as numbers, and in the letters of COCO's own library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.formats.masks.labelled import Labelled

__all__ = ["as_segmentations", "compress", "named"]

_BITS, _SIGN, _MORE, _FIRST = 5, 0x10, 0x20, 48  # of a letter: bits, the sign's, that of "more follow"; the letter of 0


def named(labelled: Labelled) -> list[dict[str, Any]]:
    """The run lengths with the names of the classes.

    Args:
        labelled: A label map.

    Returns:
        ``{"class": 3, "size": [H, W], "counts": [...], "name": "road"}`` for each class that occurs.
    """
    return [entry | {"name": labelled.name(entry["class"])} for entry in labelled.rle]


def as_segmentations(labelled: Labelled) -> list[dict[str, Any]]:
    """The run lengths as COCO nests them.

    Args:
        labelled: A label map.

    Returns:
        ``{"category_id": 3, "name": "road", "segmentation": {"size": [H, W], "counts": [...]}}`` for each class.
    """
    return [
        {"category_id": entry["class"], "name": labelled.name(entry["class"])}
        | {"segmentation": {"size": entry["size"], "counts": entry["counts"]}}
        for entry in labelled.rle
    ]


def compress(counts: Sequence[int]) -> str:
    """Run lengths as ``pycocotools`` writes them: from the third on less the one before the last, five bits a letter.

    Args:
        counts: Run lengths, the first of what is not of the class.
    """
    letters = bytearray()
    for count, before in zip(counts, [0, 0, 0, *counts[1:]], strict=False):
        rest = count - before
        while True:
            bits, rest = rest & (_MORE - 1), rest >> _BITS
            more = rest != (-1 if bits & _SIGN else 0)
            letters.append(_FIRST + bits + (_MORE if more else 0))
            if not more:
                break
    return letters.decode()
