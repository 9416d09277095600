"""How a test pipeline loads an image: which numbers of a file the network gets to see, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from segship.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PHOTOGRAPH", "VOLUMES", "Loading", "read_loading"]

VOLUMES = frozenset({"LoadBiomedicalAnnotation", "LoadBiomedicalData", "LoadBiomedicalImageFromFile"})
"""Transforms that load volumes instead of images."""
_PILLOW = (
    "imdecode_backend='pillow': images are decoded by OpenCV here, which gives other numbers for grey images of 16 "
    "bits and for grey ones with transparency"
)
_GREY_PILLOW = (
    "imdecode_backend='pillow': images are decoded by OpenCV here, whose grey of colour images may differ by one from "
    "Pillow's"
)
_ORIENTATION = (
    "an image's EXIF orientation is always applied here. Turn the images and take color_type out of the pipeline"
)


_Kind: TypeAlias = Literal["colour", "grey", "unchanged", "stored"]


@dataclass(frozen=True)
class Loading:
    """What is loaded.

    Attributes:
        kind: ``"colour"``: three channels of 8 bits; ``"grey"``: one; ``"unchanged"``: whatever a file holds, as OpenCV
            decodes it; ``"stored"``: the same in the file's own order.
        fractions: Whether pixels are float from the beginning, so that a resized image is not rounded.
        notes: What a user should know.
    """

    kind: _Kind = "colour"
    fractions: bool = False
    notes: tuple[str, ...] = ()


_LOADED: Mapping[tuple[str, str], tuple[_Kind, tuple[str, ...]]] = {
    ("cv2", "color"): ("colour", ()),
    ("cv2", "grayscale"): ("grey", ()),
    ("cv2", "unchanged"): ("unchanged", ()),
    ("pillow", "color"): ("colour", (_PILLOW,)),
    ("pillow", "grayscale"): ("grey", (_GREY_PILLOW,)),
}
"""What is loaded, by ``imdecode_backend`` and ``color_type``, and what a user should know of it."""

PHOTOGRAPH = Loading()
"""What a pipeline loads that does not say it."""


def read_loading(name: str, cfg: Mapping[str, Any]) -> Loading:
    """Return what a loading transform loads.

    Args:
        name: ``LoadImageFromFile``, ``LoadImageFromNDArray`` or ``LoadSingleRSImageFromFile``.
        cfg: Its options.

    Raises:
        UnsupportedError: It loads in a way that is not provided.
    """
    backend = cfg.get("imdecode_backend") or "cv2"
    if name == "LoadSingleRSImageFromFile" or backend == "tifffile":  # which does not look at color_type
        return Loading("stored", fractions=True)
    fractions, color = bool(cfg.get("to_float32")), cfg.get("color_type", "color")
    if backend not in {"cv2", "pillow"}:
        raise UnsupportedError(
            f"{name} with imdecode_backend={backend!r:.40} is not provided: cv2, pillow and tifffile are"
        )
    if str(color).endswith("_ignore_orientation"):
        raise UnsupportedError(f"{name} with color_type={color!r:.40} is not provided: {_ORIENTATION}")
    if (backend, str(color)) in _LOADED:
        kind, notes = _LOADED[backend, str(color)]
        return Loading(kind, fractions, notes)
    raise UnsupportedError(
        f"{name} with color_type={color!r:.40} by {backend} is not provided: color, grayscale and, by cv2, unchanged "
        "are"
    )
