"""COCO's annotations: one JSON file for a folder, each class of an image as one annotation."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from segship.formats.masks.rle import compress
from segship.vision.regions import bounding_box

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from segship.formats.masks.labelled import Labelled, Meaning, Part, Parts

__all__ = ["document", "part"]

_FIRST = 1  # number of class 0: several tools take category 0 for "no class"


def part(labelled: Labelled) -> Part:
    """What the file holds of an image, without numbers of its own.

    Args:
        labelled: A label map.
    """
    found: list[dict[str, Any]] = []
    for entry in labelled.rle:
        top, left, bottom, right = bounding_box(labelled.mask == entry["class"])
        found.append(
            {
                "category_id": entry["class"] + _FIRST,
                "segmentation": {"size": entry["size"], "counts": compress(entry["counts"])},
                "area": sum(entry["counts"][1::2]),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    return {"image": {"file_name": labelled.image} | labelled.size, "annotations": found}


def document(parts: Parts, meaning: Meaning) -> Iterator[str]:
    """The text of ``annotations.json``, piece by piece.

    Args:
        parts: Of the images.
        meaning: Of the labels.
    """
    categories = [
        {"id": label, "name": name, "supercategory": "", "isthing": 0, "color": list(colour)}
        for label, (name, colour) in enumerate(zip(meaning.classes, meaning.palette, strict=True), _FIRST)
    ]
    yield '{"info": {"description": "Masks made by Segship"},\n"licenses": [],\n"categories": '
    yield json.dumps(categories, ensure_ascii=False)
    yield ',\n"images": ['
    yield from _lines({"id": number} | one["image"] for number, one in enumerate(parts(), 1))
    yield '],\n"annotations": ['
    numbers = itertools.count(1)
    yield from _lines(
        {"id": next(numbers), "image_id": number} | annotation
        for number, one in enumerate(parts(), 1)
        for annotation in one["annotations"]
    )
    yield "]}\n"


def _lines(values: Iterable[dict[str, Any]]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield ("," if number else "") + "\n" + json.dumps(value, ensure_ascii=False)
