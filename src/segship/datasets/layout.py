"""What is known of a data set: its classes, their colours, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LabelFile", "Layout", "Split", "split_table"]

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Split:
    """The folders of one part of a data set, below the root.

    Attributes:
        images: Folder of the images.
        labels: Folder of the label maps.
        names: Text file with a name in each line, where not all files of the folders belong to the part.
        ranges: First and last name of each run of images that belongs to the part, where there is no such file.
        other_labels: Folders that hold label maps where the first is not there.
    """

    images: str
    labels: str
    names: str | None = None
    ranges: tuple[tuple[str, str], ...] = ()
    other_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelFile:
    """A label map as the data set was published, before it was prepared for training.

    Attributes:
        suffix: End of the file's name, in place of the layout's ``label_suffix``.
        table: Class of each number that the file stores; numbers that are not in it do not count. None: it stores
            classes, or colours.
    """

    suffix: str
    table: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """One data set, as MMSegmentation's preparation leaves it on the disk.

    Attributes:
        title: Its name, for people.
        classes: Name of each class, in the order of the labels that a network learns.
        palette: Colour of each class, RGB.
        mmseg_types: Names of MMSegmentation's classes for it.
        image_suffix, label_suffix: Ends of file names; what is before them is the same for image and label map.
        splits: Its parts: ``train``, ``val``, ``test``.
        reduce_zero_label: Whether label 0 of the files means "ignore" and all others move down by one.
        ignore_label: Label of pixels that do not count.
        published: Label maps that are read where the prepared ones are missing.
        colours: Class of each colour that published label maps have beside those of ``palette``.
        beside: Name of the folder of images inside a part, and of that of label maps beside it; None: both are apart.
        submission: Number of each class in the files that the data set's test server takes; empty: the labels, moved
            up by one where ``reduce_zero_label`` moved them down.
    """

    title: str
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    mmseg_types: tuple[str, ...] = ()
    image_suffix: str = ".jpg"
    label_suffix: str = ".png"
    splits: Mapping[str, Split] = field(default_factory=lambda: MappingProxyType({}))
    reduce_zero_label: bool = False
    ignore_label: int = 255
    published: tuple[LabelFile, ...] = ()
    colours: tuple[tuple[Color, int], ...] = ()
    beside: tuple[str, str] | None = None
    submission: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.palette):
            raise ValueError(f"{self.title}: {len(self.classes)} classes, but {len(self.palette)} colours")


def split_table(text: str) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Return classes and colours from lines like ``804080 road``: red, green and blue in hexadecimal, then the name."""
    lines = [line.strip() for line in text.strip().splitlines()]
    classes = tuple(line[7:] for line in lines)
    palette = tuple((int(line[0:2], 16), int(line[2:4], 16), int(line[4:6], 16)) for line in lines)
    return classes, palette
