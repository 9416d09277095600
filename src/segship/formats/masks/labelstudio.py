"""What Label Studio imports: tasks with predictions as brushes, and the labelling interface that they are for.

A brush is the picture of a mask, RGBA, in the run lengths of @thi.ng/rle-pack: 32 bits of how many bytes there are, 5
of a byte's bits less one, four times 4 of a length's bits less one; then runs: a bit that is 1, 2 bits of which length,
the length less one, the byte. Source: labelstud.io/guide/predictions, "Import brush segmentation pre-annotations".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from segship.formats.masks.labelled import markup
from segship.vision.regions import run_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.formats.masks.labelled import Labelled, Meaning, Part, Parts

__all__ = ["interface", "pack", "part", "tasks"]

_LENGTHS = (3, 4, 8, 16)  # bits
_CHANNELS, _SHOWN = 4, 255
_IMAGE, _BRUSH = "image", "brush"  # names within the interface


def part(labelled: Labelled) -> Part:
    """The task of an image.

    Args:
        labelled: A label map.
    """
    size = labelled.size
    results: list[dict[str, Any]] = [
        {
            "id": f"label-{entry['class']}",
            "type": "brushlabels",
            "from_name": _BRUSH,
            "to_name": _IMAGE,
            "original_width": size["width"],
            "original_height": size["height"],
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": list(pack(labelled.mask == entry["class"])),
                "brushlabels": [labelled.name(entry["class"])],
            },
        }
        for entry in labelled.rle
    ]
    data = {"image": f"/data/local-files/?d={quote(labelled.image)}"}
    return {"data": data, "predictions": [{"model_version": "segship", "result": results}]}


def pack(inside: NDArray[np.bool_]) -> bytes:
    """A brush of a mask.

    Args:
        inside: Where it is, (H, W).
    """
    counts = run_lengths(inside.reshape(-1))
    bits = [f"{_CHANNELS * inside.size:032b}{8 - 1:05b}", *(f"{length - 1:04b}" for length in _LENGTHS)]
    longest = 2 ** _LENGTHS[-1]
    for number, count in enumerate(counts):
        value = f"{_SHOWN * (number % 2):08b}"
        whole, rest = divmod(count * _CHANNELS, longest)
        bits += [_run(longest, value)] * whole
        bits += [_run(rest, value)] if rest else []
    text = "".join(bits)
    return np.packbits(np.frombuffer(text.encode(), np.uint8) == ord("1")).tobytes()


def _run(length: int, value: str) -> str:
    kind = next(number for number, bits in enumerate(_LENGTHS) if length <= 2**bits)
    return f"1{kind:02b}{length - 1:0{_LENGTHS[kind]}b}{value}"


def tasks(parts: Parts, _: Meaning) -> Iterator[str]:
    """The text of ``tasks.json``, piece by piece.

    Args:
        parts: Of the images.
    """
    yield "["
    for number, task in enumerate(parts()):
        yield ("," if number else "") + "\n" + json.dumps(task, ensure_ascii=False, separators=(",", ":"))
    yield "]\n"


def interface(_: Parts, meaning: Meaning) -> Iterator[str]:
    """The text of ``interface.xml``: what a project's labelling interface has to be for these tasks.

    Args:
        meaning: Of the labels.
    """
    yield f'<View>\n  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>\n'
    yield f'  <BrushLabels name="{_BRUSH}" toName="{_IMAGE}">\n'
    for name, colour in zip(meaning.classes, meaning.colours, strict=True):
        yield f'    <Label value="{markup(name)}" background="{colour}"/>\n'
    yield "  </BrushLabels>\n</View>\n"
