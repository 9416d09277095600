"""CVAT's own XML, "CVAT for images 1.1": each class of an image as one mask.

A mask is the run lengths of its bounding box, row by row, beginning with what is outside.
Source: docs.cvat.ai, "CVAT for images"; cvat_sdk.masks encodes the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.formats.masks.labelled import markup
from segship.vision.regions import bounding_box, run_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segship.formats.masks.labelled import Labelled, Meaning, Part, Parts

__all__ = ["document", "part"]


def part(labelled: Labelled) -> Part:
    """What the file holds of an image.

    Args:
        labelled: A label map.
    """
    found: list[dict[str, Any]] = []
    for entry in labelled.rle:
        inside = labelled.mask == entry["class"]
        top, left, bottom, right = bounding_box(inside)
        counts = run_lengths(inside[top:bottom, left:right].reshape(-1))
        place = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        found.append({"label": labelled.name(entry["class"]), "rle": ", ".join(map(str, counts))} | place)
    return {"name": labelled.image, "masks": found} | labelled.size


def document(parts: Parts, meaning: Meaning) -> Iterator[str]:
    """The text of ``annotations.xml``, piece by piece.

    Args:
        parts: Of the images.
        meaning: Of the labels.
    """
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n<task>\n<labels>\n'
    for name, colour in zip(meaning.classes, meaning.colours, strict=True):
        named = f"<name>{markup(name)}</name><color>{colour}</color>"
        yield f"<label>{named}<type>mask</type><attributes/></label>\n"
    yield "</labels>\n</task>\n</meta>\n"
    for number, one in enumerate(parts()):
        size = {"width": one["width"], "height": one["height"]}
        yield f"<image {_attributes({'id': number, 'name': one['name']} | size)}>\n"
        for mask in one["masks"]:
            yield f"<mask {_attributes({'source': 'auto', 'occluded': 0} | mask | {'z_order': 0})}/>\n"
        yield "</image>\n"
    yield "</annotations>\n"


def _attributes(values: dict[str, Any]) -> str:
    return " ".join(f'{name}="{markup(str(value))}"' for name, value in values.items())
