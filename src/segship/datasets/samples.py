"""Which image belongs to which label map, in the folders of each data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.core.errors import InputError, did_you_mean
from segship.vision.decode import find_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from segship.datasets.layout import Layout, Split

__all__ = ["Sample", "find_folder", "find_samples", "pair_up"]

_FOLDERS = (
    ("images", ("labels", "annotations", "masks", "gts", "gt")),
    ("img_dir", ("ann_dir",)),
    ("imgs", ("gts", "labels", "masks")),
    ("image", ("label", "mask")),
    ("leftImg8bit", ("gtFine", "gtCoarse")),
    ("JPEGImages", ("SegmentationClass",)),
)
_LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Sample:
    """One image with its ground truth.

    Attributes:
        name: Path of the image below its folder, with forward slashes, without its suffix.
        image: File of the image.
        labels: File of the label map; None where there is none.
        table: What the numbers of the label map mean, where they are not the classes themselves.
    """

    name: str
    image: Path
    labels: Path | None
    table: Mapping[int, int] | None = None


def find_samples(layout: Layout, root: Path, split: str = "val", limit: int | None = None) -> list[Sample]:
    """Return the samples of one part of a data set, as MMSegmentation's class for it lists them.

    Args:
        layout: How the data set lies on the disk.
        root: Its folder.
        split: ``train``, ``val`` or ``test``.
        limit: Take only so many.

    Returns:
        Sorted by the path of the image, or in the order of the split's list of names. A sample without a label map is
        among them.

    Raises:
        InputError: The part is unknown or not there, or holds no image; the message names what was looked for.
    """
    part = _part(layout, root, split)
    folder = root / part.images
    suffix = layout.image_suffix
    if part.names is None:
        stems = sorted(
            str(path.relative_to(folder).as_posix())[: -len(suffix)]
            for path in folder.rglob(f"*{suffix}")
            if not path.name.startswith(".")
        )
    else:
        stems = _names(root / part.names)
    if part.ranges:
        stems = [stem for stem in stems if any(first <= stem <= last for first, last in part.ranges)]
    if not stems:
        found = sorted({path.suffix for path in folder.rglob("*.*")})[:5]
        there = f"; found files with {', '.join(found)}" if found else ""
        raise InputError(f"{folder} holds no image whose name ends with {suffix}{there}")
    return [_sample(layout, folder, root / part.labels, stem) for stem in stems[:limit]]


def _part(layout: Layout, root: Path, split: str) -> Split:
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder of {layout.title}")
    if split not in layout.splits:
        known = ", ".join(layout.splits) or "none: give --images and --labels"
        raise InputError(f"{layout.title} has no part {split!r}.{did_you_mean(split, layout.splits)} Known are {known}")
    part = layout.splits[split]
    if not (root / part.images).is_dir():
        there = [name for name, other in layout.splits.items() if (root / other.images).is_dir()]
        hint = f"; --split {there[0]} is there" if there else ""
        raise InputError(f"{root} holds no {part.images}, where the {split} images of {layout.title} lie{hint}")
    return part


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}, the list of the images' names: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def _sample(layout: Layout, images: Path, labels: Path, stem: str) -> Sample:
    image = images / f"{stem}{layout.image_suffix}"
    prepared = labels / f"{stem}{layout.label_suffix}"
    if prepared.is_file():
        return Sample(stem, image, prepared)
    for other in layout.published:
        path = labels / f"{stem}{other.suffix}"
        if path.is_file():
            return Sample(stem, image, path, other.table)
    return Sample(stem, image, None)


def find_folder(root: Path, split: str | None = None, limit: int | None = None) -> list[Sample]:
    """Return the samples of a folder that follows no data set in particular.

    Args:
        root: Holds a folder of images and one of label maps under usual names (``images`` and ``labels``, ``img_dir``
            and ``ann_dir``, …).
        split: Name of a folder inside both, or of a list of names ``splits/NAME.txt``; None: all.
        limit: Take only so many.

    Raises:
        InputError: There are no such folders, no such part, or no image.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder")
    for first, seconds in _FOLDERS:
        for second in seconds:
            if (root / first).is_dir() and (root / second).is_dir():
                return _folder_part(root, root / first, root / second, split, limit)
    usual = ", ".join(f"{first} and {seconds[0]}" for first, seconds in _FOLDERS[:3])
    raise InputError(f"{root} has no folders of images and label maps with usual names ({usual}): give both by name")


def _folder_part(root: Path, images: Path, labels: Path, split: str | None, limit: int | None) -> list[Sample]:
    if split is None:
        return pair_up(images, labels, limit)
    if (images / split).is_dir():
        return pair_up(images / split, labels / split if (labels / split).is_dir() else labels, limit)
    listed = root / "splits" / f"{split}.txt"
    if listed.is_file():
        wanted = set(_names(listed))
        every = pair_up(images, labels)
        return [sample for sample in every if {sample.name, _bare(sample.name)} & wanted][:limit]
    if any(entry.is_dir() for entry in images.iterdir()):
        raise InputError(f"{root} has no part {split!r}: neither {images / split} nor {listed} is there")
    return pair_up(images, labels, limit)


def pair_up(images: Path, labels: Path, limit: int | None = None) -> list[Sample]:
    """Return each image of a folder with the label map of the same name.

    Args:
        images: Folder of images, or one image.
        labels: Folder of label maps. One lies at its image's relative path, with the suffix ``.png``, or with what data
            sets put between name and extension (``_gtFine_labelTrainIds``, ``_labelTrainIds``, ``_gt``).
        limit: Take only so many images.

    Returns:
        Sorted by path; a sample without a label map is among them.

    Raises:
        InputError: A folder is missing, or holds no image.
    """
    if not labels.is_dir():
        raise InputError(f"{labels} is not a folder: give the folder of the label maps")
    files = find_images([images])[:limit]
    root = images if images.is_dir() else images.parent
    inside = [file.relative_to(root) for file in files]
    return [
        Sample(path.with_suffix("").as_posix(), file, _label_of(path, labels))
        for file, path in zip(files, inside, strict=True)
    ]


def _bare(name: str) -> str:
    return name.removesuffix("_leftImg8bit").removesuffix("_img")


def _label_of(image: Path, labels: Path) -> Path | None:
    for name in _label_names(image.stem):
        for suffix in _LABEL_SUFFIXES:
            path = labels / image.parent / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


def _label_names(stem: str) -> Iterable[str]:
    bare = _bare(stem)
    return (stem, f"{bare}_gtFine_labelTrainIds", f"{bare}_labelTrainIds", f"{bare}_gt", bare)
