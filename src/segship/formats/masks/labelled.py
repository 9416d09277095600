"""What the writers of masks are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from segship.vision.regions import as_rle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Labelled", "Meaning", "Part", "Parts", "markup"]

_MARKUP = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_NO_XML = dict.fromkeys(set(range(32)) - {9, 10, 13}, "\ufffd")  # characters that no XML can hold

Part: TypeAlias = "dict[str, Any]"
"""What a file on the whole folder holds of one image, as JSON types."""
Parts: TypeAlias = "Callable[[], Iterator[Part]]"
"""Reads the parts one after the other, as often as it is called."""


@dataclass(frozen=True)
class Meaning:
    """What labels mean.

    Attributes:
        classes: Name of each class.
        palette: RGB of each class.
    """

    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]

    @property
    def colours(self) -> list[str]:
        """The colour of each class, as ``#804080``."""
        return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in self.palette]


@dataclass(frozen=True)
class Labelled:
    """The label map of an image.

    Attributes:
        image: Path of the image below its folder, with slashes and suffix.
        mask: Labels (H, W), unsigned; labels that are no class, as 255 for "rejected", belong to none.
        meaning: Of the labels.
    """

    image: str
    mask: NDArray[Any]
    meaning: Meaning

    @property
    def size(self) -> dict[str, int]:
        """Width and height in pixels."""
        height, width = self.mask.shape
        return {"width": width, "height": height}

    @cached_property
    def rle(self) -> list[dict[str, Any]]:
        """The run lengths of each class that occurs, as of `segship.vision.regions.as_rle`."""
        return [entry for entry in as_rle(self.mask) if entry["class"] < len(self.meaning.classes)]

    def name(self, label: int) -> str:
        """The name of a class."""
        return self.meaning.classes[label]


def markup(text: str) -> str:
    """A text as it stands in XML, within quotes too.

    Args:
        text: Any.
    """
    return text.translate(_MARKUP | _NO_XML)
