"""A mask in the forms that a client may ask for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segship.core.errors import InputError
from segship.formats.masks import FORMATS, Labelled, Meaning, as_npz, to_json
from segship.formats.masks.rle import as_segmentations
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import encode_jpeg, overlay
from segship.vision.regions import count_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from segship.runtime import Segmentor

__all__ = ["FORMS", "Form", "Reply", "choose", "reply"]

_MOST_SCORES = 2**30  # bytes of float32 scores that are held for one request


@dataclass(frozen=True)
class Reply:
    """What goes back.

    Attributes:
        body: The bytes.
        media_type: What they are.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """

    body: bytes
    media_type: str
    height: int
    width: int


@dataclass(frozen=True)
class Form:
    """One form of a reply.

    Attributes:
        media_type: As in ``Accept`` and ``Content-Type``.
        what: One line for the documentation.
        make: From a segmentor and an encoded image to the bytes, with the image's size.
    """

    media_type: str
    what: str
    make: Callable[[Segmentor, bytes], tuple[bytes, tuple[int, int]]]


def _of_mask(
    encode: Callable[[Segmentor, NDArray[Any]], bytes],
) -> Callable[[Segmentor, bytes], tuple[bytes, tuple[int, int]]]:
    def make(segmentor: Segmentor, image: bytes) -> tuple[bytes, tuple[int, int]]:
        mask = segmentor(image)
        return encode(segmentor, mask), (mask.shape[0], mask.shape[1])

    return make


def _labelled(segmentor: Segmentor, mask: NDArray[Any]) -> Labelled:
    return Labelled("image", mask, Meaning(segmentor.classes, segmentor.spec.palette))


def _png(segmentor: Segmentor, mask: NDArray[Any]) -> bytes:
    return FORMATS["png"].encode(_labelled(segmentor, mask))


def _npy(_: Segmentor, mask: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, mask, allow_pickle=False)
    return buffer.getvalue()


def _rle(segmentor: Segmentor, mask: NDArray[Any]) -> bytes:
    return to_json(as_segmentations(_labelled(segmentor, mask)))


def _polygons(segmentor: Segmentor, mask: NDArray[Any]) -> bytes:
    return FORMATS["geojson"].encode(_labelled(segmentor, mask))


def _counts(segmentor: Segmentor, mask: NDArray[Any]) -> bytes:
    found = count_pixels(mask)
    rows = [
        {"category_id": label, "name": segmentor.classes[label], "pixels": pixels, "share": pixels / mask.size}
        for label, pixels in found.items()
    ]
    return to_json({"height": mask.shape[0], "width": mask.shape[1], "classes": rows})


def _decoded(segmentor: Segmentor, image: bytes) -> NDArray[Any]:
    pixels: NDArray[Any] = read_pixels(image, segmentor.spec, max_pixels=segmentor.max_pixels)
    return pixels


def _overlay(segmentor: Segmentor, image: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    pixels = _decoded(segmentor, image)
    mask = segmentor(pixels, channel_order="bgr")
    return overlay(as_picture(pixels), mask, segmentor.spec.palette), (mask.shape[0], mask.shape[1])


def _jpeg(segmentor: Segmentor, image: bytes) -> tuple[bytes, tuple[int, int]]:
    drawn, size = _overlay(segmentor, image)
    return encode_jpeg(drawn), size


def _webp(segmentor: Segmentor, image: bytes) -> tuple[bytes, tuple[int, int]]:
    drawn, size = _overlay(segmentor, image)
    if max(size) > 16383:  # noqa: PLR2004  (the format's own limit)
        raise InputError(f"WebP holds at most 16383 pixels a side, the image has {size[1]}x{size[0]}: ask for jpeg")
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "WEBP", quality=90)
    return buffer.getvalue(), size


def _scores(segmentor: Segmentor, image: bytes) -> tuple[bytes, tuple[int, int]]:
    pixels = _decoded(segmentor, image)
    height, width = pixels.shape[:2]
    needed = 4 * len(segmentor.classes) * height * width
    if needed > _MOST_SCORES:
        raise InputError(
            f"the scores of {len(segmentor.classes)} classes at {width}x{height} pixels are {needed >> 20} MiB, the "
            f"limit is {_MOST_SCORES >> 20}: send a smaller image"
        )
    scores = segmentor.scores(pixels, channel_order="bgr").astype(np.float16)
    return as_npz(scores=scores), (height, width)


FORMS: dict[str, Form] = {
    "png": Form("image/png", "labels, with the palette; 16 bits where there are more than 256 classes", _of_mask(_png)),
    "jpeg": Form("image/jpeg", "the colours over the image", _jpeg),
    "webp": Form("image/webp", "the colours over the image", _webp),
    "rle": Form("application/vnd.segship.rle+json", "COCO's run lengths of each class", _of_mask(_rle)),
    "polygons": Form("application/geo+json", "outlines along the borders of pixels", _of_mask(_polygons)),
    "counts": Form("application/json", "pixels of each class that occurs, and their share", _of_mask(_counts)),
    "scores": Form("application/zip", "float16 (C, H, W) as `scores` of an .npz", _scores),
    "npy": Form("application/octet-stream", "labels (H, W), uint8 or uint16, as .npy", _of_mask(_npy)),
}
"""By the name in ``?format=``."""


def choose(form: str | None, accept: str | None) -> str:
    """The form that a client asks for.

    Args:
        form: Of ``?format=``, which comes first.
        accept: The header; the first media type of it that is known is taken.

    Returns:
        A name of `FORMS`; ``png`` where nothing is asked for.

    Raises:
        InputError: None of what is asked for is known.
    """
    if form:
        if form not in FORMS:
            raise InputError(f"there is no format {form!r}: ask for {', '.join(FORMS)}")
        return form
    wanted = [part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    for media_type in wanted:
        if media_type in {"*/*", "image/*", ""}:
            return "png"
        for name, known in FORMS.items():
            if known.media_type == media_type:
                return name
    raise InputError(f"none of {', '.join(wanted)[:200]} is made here: ask for ?format={'|'.join(FORMS)}")


def reply(segmentor: Segmentor, image: bytes, form: str) -> Reply:
    """The mask of an encoded image, encoded.

    Args:
        segmentor: Makes it.
        image: An encoded image.
        form: A name of `FORMS`.

    Raises:
        InputError: The image cannot be used.
        BackendError: The engine fails.
    """
    body, (height, width) = FORMS[form].make(segmentor, image)
    return Reply(body, FORMS[form].media_type, height, width)
