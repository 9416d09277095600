"""Which samples are evaluated, and what their label maps mean for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.datasets import choose_layout
from segship.datasets.coding import Coding, coding_for
from segship.datasets.samples import Sample, find_folder, find_samples, pair_up
from segship.vision.decode import find_images

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.spec import ModelSpec
    from segship.datasets.layout import Layout

__all__ = ["Data", "from_folders", "from_images", "from_layout"]


@dataclass(frozen=True)
class Data:
    """What is evaluated on.

    Attributes:
        samples: Images and label maps.
        coding: What the label maps mean.
        layout: The data set they are of, if it is known.
    """

    samples: tuple[Sample, ...]
    coding: Coding
    layout: Layout | None = None

    def submission(self) -> tuple[int, ...]:
        """Number of each class in the files that the data set's test server takes, or that its label maps have."""
        if self.layout is not None and self.layout.submission:
            return self.layout.submission
        first = int(self.coding.reduce_zero_label)
        return tuple(range(first, first + self.coding.classes))


def from_layout(
    spec: ModelSpec,
    name: str,
    root: Path,
    split: str | None = None,
    *,
    reduce_zero_label: bool | None = None,
    limit: int | None = None,
) -> Data:
    """A part of a data set.

    Args:
        spec: Of the network.
        name: Of the data set; ``folder``: images and label maps in folders with usual names.
        root: Its folder.
        split: The part; None: ``val``, or all of a ``folder``.
        reduce_zero_label: Whether label 0 means "ignore" and the others move down; None: as the data set has it.
        limit: Take only so many samples.

    Raises:
        UnsupportedError: No data set is called so.
        InputError: It is not there, or has other classes than the network.
    """
    if name == "folder":
        return Data(tuple(find_folder(root, split, limit)), _own_coding(spec, reduce_zero_label))
    layout = choose_layout(name, len(spec.classes), root, split or "val")
    coding = coding_for(layout, spec.classes, reduce_zero_label=reduce_zero_label)
    return Data(tuple(find_samples(layout, root, split or "val", limit)), coding, layout)


def from_folders(
    spec: ModelSpec, images: Path, labels: Path, *, reduce_zero_label: bool | None = None, limit: int | None = None
) -> Data:
    """Two folders, whose files go together by name; label maps as the network was trained with.

    Raises:
        InputError: A folder is missing or empty, or no image has a label map; the message names the first.
    """
    samples = pair_up(images, labels, limit)
    if all(sample.labels is None for sample in samples):
        raise InputError(
            f"none of the {len(samples)} images has a label map; the first is {samples[0].image}: "
            f"no {labels / samples[0].name}.png"
        )
    return Data(tuple(samples), _own_coding(spec, reduce_zero_label))


def from_images(spec: ModelSpec, images: Path, *, limit: int | None = None) -> Data:
    """Images without label maps, to predict and not to count.

    Raises:
        InputError: There is no such folder, or no image in it.
    """
    files = find_images([images])[:limit]
    root = images if images.is_dir() else images.parent
    samples = [Sample(file.relative_to(root).with_suffix("").as_posix(), file, None) for file in files]
    return Data(tuple(samples), _own_coding(spec, None))


def _own_coding(spec: ModelSpec, reduce_zero_label: bool | None) -> Coding:
    reduce = spec.reduce_zero_label if reduce_zero_label is None else reduce_zero_label
    return Coding(len(spec.classes), reduce, spec.palette)
