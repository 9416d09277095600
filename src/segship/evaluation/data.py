"""Which samples are evaluated, and what their label maps mean for a network."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError, SegshipWarning
from segship.datasets import choose_layout
from segship.datasets.label_encoding import LabelEncoding, encoding_for, survey
from segship.datasets.samples import NameEnds, Sample, find_folder, find_samples, pair_up
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from segship.core.spec import ModelSpec
    from segship.datasets.layout import Layout

__all__ = ["Data", "SampleSet"]


@dataclass(frozen=True)
class SampleSet:
    """The samples of a data set, and how to read their label maps for one network.

    Attributes:
        samples: Images and label maps.
        encoding: What the label maps mean.
        layout: The data set they are of, if it is known.
    """

    samples: tuple[Sample, ...]
    encoding: LabelEncoding
    layout: Layout | None = None

    def submission(self) -> tuple[int, ...]:
        """Tell the number of each class in the files that the data set's test server takes, else in its label maps."""
        if self.layout is not None and self.layout.submission:
            return self.layout.submission
        first = int(self.encoding.reduce_zero_label)
        return tuple(range(first, first + self.encoding.classes))


@dataclass(frozen=True)
class Data:
    """Images and label maps to evaluate on: made by `layout`, `folders`, `pairs` or `unlabelled`.

    Attributes:
        root: Folder of the data set, or of the images; None: ``files`` names them.
        name: Name of the data set; None: ``root`` holds images.
        labels: Folder of the label maps; None: where the data set has them, or there are none.
        files: Image and label map of each sample, where they are named one by one.
        split: Part of the data set.
        reduce_zero_label: Whether label 0 means "ignore" and the others move down by one; None: as the data set has
            it, else as the network was trained.
        limit: Take only so many samples.
        ends: What the names of images and label maps end with, where these are found by name.

    Examples:
        >>> from segship import Data, evaluate
        >>> found = evaluate("package", Data.folders("images", "labels"))
        >>> found.images, round(found.scores.mIoU)
        (2, 100)
    """

    root: Path | None
    _: KW_ONLY
    name: str | None = None
    labels: Path | None = None
    files: tuple[tuple[Path, Path], ...] = ()
    split: str | None = None
    reduce_zero_label: bool | None = None
    limit: int | None = None
    ends: NameEnds = field(default_factory=NameEnds)

    @classmethod
    def layout(
        cls,
        name: str,
        root: str | os.PathLike[str],
        split: str | None = None,
        *,
        reduce_zero_label: bool | None = None,
        limit: int | None = None,
    ) -> Data:
        """Name a part of a data set, in the folders that MMSegmentation's preparation leaves.

        Args:
            name: Of the data set, as ``cityscapes``; ``folder``: images and label maps in folders with usual names.
            root: Its folder.
            split: The part; None: ``val``, or all of a ``folder``.
            reduce_zero_label: Whether label 0 means "ignore" and the others move down; None: as the data set has it.
            limit: Take only so many samples.

        Returns:
            What `segship.evaluate` takes; no file is read yet.
        """
        return cls(Path(root), name=name, split=split, reduce_zero_label=reduce_zero_label, limit=limit)

    @classmethod
    def folders(
        cls,
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str],
        *,
        reduce_zero_label: bool | None = None,
        limit: int | None = None,
        image_suffix: str | None = None,
        label_suffix: str | None = None,
    ) -> Data:
        """Name a folder of images and one of label maps, whose files go together by name.

        Args:
            images: Folder of images.
            labels: Folder of label maps.
            reduce_zero_label: Whether label 0 means "ignore" and the others move down; None: as the network was
                trained.
            limit: Take only so many samples.
            image_suffix: End of images' names, as ``_sat.jpg``; others are no images. None: any suffix.
            label_suffix: End of label maps' names, in place of the images', as ``_mask.png``; None: as data sets
                usually have it.

        Returns:
            What `segship.evaluate` takes; no file is read yet.
        """
        ends = NameEnds(image_suffix, label_suffix)
        return cls(Path(images), labels=Path(labels), reduce_zero_label=reduce_zero_label, limit=limit, ends=ends)

    @classmethod
    def pairs(
        cls,
        files: Sequence[tuple[str | os.PathLike[str], str | os.PathLike[str]]],
        *,
        reduce_zero_label: bool | None = None,
    ) -> Data:
        """Name samples one by one.

        Args:
            files: Image and label map of each.
            reduce_zero_label: As for `folders`.

        Returns:
            What `segship.evaluate` takes; no file is read yet.
        """
        paths = tuple((Path(image), Path(labels)) for image, labels in files)
        return cls(None, files=paths, reduce_zero_label=reduce_zero_label)

    @classmethod
    def unlabelled(cls, images: str | os.PathLike[str], *, limit: int | None = None) -> Data:
        """Name images without label maps, to write predictions for.

        Args:
            images: A folder of images, or one image.
            limit: Take only so many.

        Returns:
            What `segship.evaluate` takes; no file is read yet.
        """
        return cls(Path(images), limit=limit)

    def ending(self, ends: NameEnds) -> Data:
        """Return the same with names that end as a config says, where they are found by name and do end so.

        Args:
            ends: Of the config's data set.

        Returns:
            The data; this one where its names end otherwise.
        """
        if self.ends != NameEnds() or ends == NameEnds() or self.labels is None or self.root is None:
            return self
        with contextlib.suppress(InputError):
            if any(sample.labels is not None for sample in pair_up(self.root, self.labels, self.limit, ends)):
                return replace(self, ends=ends)
        return self

    def __str__(self) -> str:
        if self.name is not None:
            return f"{self.name} {self.split or ''}".strip()
        return f"{len(self.files)} pairs" if self.root is None else str(self.root)

    @property
    def labelled(self) -> bool:
        """True where there are label maps."""
        return self.name is not None or self.labels is not None or bool(self.files)

    def samples_for(self, spec: ModelSpec) -> SampleSet:
        """Find the samples, and what their label maps mean for a network.

        Args:
            spec: What the network expects and means.

        Returns:
            At least one sample.

        Raises:
            UnsupportedError: No data set is called so.
            InputError: A folder is missing or empty, no image has a label map, or the data set has other classes than
                the network.
        """
        if self.name is not None and self.root is not None and self.name != "folder":
            split = self.split or "val"
            layout = choose_layout(self.name, len(spec.classes), self.root, split)
            encoding = encoding_for(layout, spec.classes, reduce_zero_label=self.reduce_zero_label)
            samples = tuple(find_samples(layout, self.root, split, self.limit))
            return SampleSet(samples, _surveyed(encoding, samples, spec.classes), layout)
        reduce = spec.reduce_zero_label if self.reduce_zero_label is None else self.reduce_zero_label
        samples = self._found()
        encoding = LabelEncoding(len(spec.classes), reduce, spec.palette)
        return SampleSet(samples, _surveyed(encoding, samples, spec.classes))

    def _found(self) -> tuple[Sample, ...]:
        """The samples of folders, and of files that are named."""
        if self.root is None:
            return tuple(Sample(image.stem, image, labels) for image, labels in self.files)
        if self.name is not None:
            return tuple(find_folder(self.root, self.split, self.limit, self.ends))
        if self.labels is not None:
            return _paired(self.root, self.labels, self.limit, self.ends)
        root = self.root if self.root.is_dir() else self.root.parent
        files = find_images([self.root])[: self.limit]
        return tuple(Sample(file.relative_to(root).with_suffix("").as_posix(), file, None) for file in files)


def _surveyed(encoding: LabelEncoding, samples: tuple[Sample, ...], classes: Sequence[str]) -> LabelEncoding:
    """The encoding with what only the label maps tell."""
    found = survey(encoding, samples)
    if found.binary:
        warnings.warn(
            f"the label maps hold only 0 and 255: 255 is read as class 1 ({classes[1]}), not as ignored",
            SegshipWarning,
            stacklevel=3,
        )
    return found


def _paired(images: Path, labels: Path, limit: int | None, ends: NameEnds) -> tuple[Sample, ...]:
    samples = pair_up(images, labels, limit, ends)
    if all(sample.labels is None for sample in samples):
        there = next((path.name for path in sorted(labels.rglob("*.*")) if path.is_file()), None)
        held = f"{labels} holds {there}: tell how label maps' names end, as --label-suffix _mask.png" if there else ""
        raise InputError(
            f"none of the {len(samples)} images has a label map; the first is {samples[0].image}: "
            f"no {labels / samples[0].name}.png; {held or f'{labels} is empty'}"
        )
    return tuple(samples)
