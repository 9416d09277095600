"""Which image belongs to which label map, in the folders of each data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError, did_you_mean
from segship.vision.formats import IMAGE_SUFFIXES
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segship.datasets.layout import Layout, Split

__all__ = ["NameEnds", "Sample", "find_folder", "find_samples", "pair_up"]

_FOLDERS = (
    ("images", ("labels", "annotations", "masks", "gts", "gt")),
    ("img_dir", ("ann_dir",)),
    ("imgs", ("gts", "labels", "masks")),
    ("image", ("label", "mask")),
    ("leftImg8bit", ("gtFine", "gtCoarse")),
    ("JPEGImages", ("SegmentationClass",)),
)
_LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")


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


@dataclass(frozen=True)
class NameEnds:
    """How the names of images and label maps end, where only the rest is the same.

    Attributes:
        image: End of images' names, as ``_sat.jpg``; others are no images. None: any suffix.
        label: End of label maps' names, as ``_mask.png``, or ``_mask`` with any suffix; None: as data sets usually have
            it.
    """

    image: str | None = None
    label: str | None = None


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
    folders = [root / name for name in (part.labels, *part.other_labels)]
    labels = next((there for there in folders if there.is_dir()), folders[0])
    suffix = layout.image_suffix
    if part.names is None:
        suffix, stems = _stems(layout, folder, labels)
    else:
        stems = _names(root / part.names)
    if part.ranges:
        stems = [stem for stem in stems if any(first <= stem <= last for first, last in part.ranges)]
    if not stems:
        found = sorted({path.suffix for path in folder.rglob("*.*")})[:5]
        there = f"; found files with {', '.join(found)}" if found else ""
        raise InputError(f"{folder} holds no image whose name ends with {suffix}{there}")
    return [_sample(layout, folder / f"{stem}{suffix}", labels, stem) for stem in stems[:limit]]


def _stems(layout: Layout, images: Path, labels: Path) -> tuple[str, list[str]]:
    """The images' suffix and their names without it, sorted.

    It is another than the layout's where images were stored in another format, as their label maps tell.
    """
    usual = layout.image_suffix
    stems = _with_suffix(images, usual)
    if layout.beside is not None:
        return usual, [stem for stem in stems if layout.beside[0] in stem.split("/")]
    if stems or not usual.startswith("."):  # a longer suffix tells images from other files
        return usual, stems
    for suffix in IMAGE_SUFFIXES:
        stems = _with_suffix(images, suffix)
        if any(_sample(layout, images / stem, labels, stem).labels is not None for stem in stems):
            return suffix, stems
    return usual, []


def _with_suffix(folder: Path, suffix: str) -> list[str]:
    files = (path for path in folder.rglob(f"*{suffix}") if not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix()[: -len(suffix)] for path in files)


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


def _sample(layout: Layout, image: Path, labels: Path, stem: str) -> Sample:
    named = stem if layout.beside is None else stem.replace(*layout.beside)
    prepared = labels / f"{named}{layout.label_suffix}"
    if prepared.is_file():
        return Sample(stem, image, prepared)
    for other in layout.published:
        path = labels / f"{stem}{other.suffix}"
        if path.is_file():
            return Sample(stem, image, path, other.table)
    return Sample(stem, image, None)


def find_folder(
    root: Path, split: str | None = None, limit: int | None = None, ends: NameEnds | None = None
) -> list[Sample]:
    """Return the samples of a folder that follows no data set in particular.

    Args:
        root: Holds a folder of images and one of label maps under usual names (``images`` and ``labels``, ``img_dir``
            and ``ann_dir``, …).
        split: Name of a folder inside both, or of a list of names ``splits/NAME.txt``; None: all.
        limit: Take only so many.
        ends: What the names end with, where that is known.

    Raises:
        InputError: There are no such folders, no such part, or no image.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder")
    for first, seconds in _FOLDERS:
        for second in seconds:
            if (root / first).is_dir() and (root / second).is_dir():
                return _folder_part(root, (root / first, root / second), split, limit, ends)
    usual = ", ".join(f"{first} and {seconds[0]}" for first, seconds in _FOLDERS[:3])
    raise InputError(f"{root} has no folders of images and label maps with usual names ({usual}): give both by name")


def _folder_part(
    root: Path, folders: tuple[Path, Path], split: str | None, limit: int | None, ends: NameEnds | None
) -> list[Sample]:
    images, labels = folders
    if split is None:
        return pair_up(images, labels, limit, ends)
    if (images / split).is_dir():
        return pair_up(images / split, labels / split if (labels / split).is_dir() else labels, limit, ends)
    listed = root / "splits" / f"{split}.txt"
    if listed.is_file():
        wanted = set(_names(listed))
        every = pair_up(images, labels, ends=ends)
        return [sample for sample in every if {sample.name, _bare(sample.name)} & wanted][:limit]
    if any(entry.is_dir() for entry in images.iterdir()):
        raise InputError(f"{root} has no part {split!r}: neither {images / split} nor {listed} is there")
    return pair_up(images, labels, limit, ends)


def pair_up(images: Path, labels: Path, limit: int | None = None, ends: NameEnds | None = None) -> list[Sample]:
    """Return each image of a folder with the label map of the same name.

    Args:
        images: Folder of images, or one image.
        labels: Folder of label maps. One lies at its image's relative path, with the suffix ``.png``, or with what data
            sets put between name and extension (``_gtFine_labelTrainIds``, ``_labelTrainIds``, ``_gt``, ``_mask``).
        limit: Take only so many images.
        ends: What the names end with, where that is known.

    Returns:
        Sorted by path; a sample without a label map is among them.

    Raises:
        InputError: A folder is missing, or holds no image.
    """
    if not labels.is_dir():
        raise InputError(f"{labels} is not a folder: give the folder of the label maps")
    known = ends or NameEnds()
    files = [file for file in find_images([images]) if file.name.endswith(known.image or "")][:limit]
    if not files:
        raise InputError(f"{images} holds no image whose name ends with {known.image}")
    root = images if images.is_dir() else images.parent
    inside = [file.relative_to(root) for file in files]
    return [
        Sample(path.with_suffix("").as_posix(), file, _label_of(path, labels, known))
        for file, path in zip(files, inside, strict=True)
    ]


def _bare(name: str) -> str:
    return name.removesuffix("_leftImg8bit").removesuffix("_img").removesuffix("_sat")


def _label_of(image: Path, labels: Path, ends: NameEnds) -> Path | None:
    for name in _label_names(image, ends):
        for suffix in ("",) if ends.label and Path(ends.label).suffix else _LABEL_SUFFIXES:
            path = labels / image.parent / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


def _label_names(image: Path, ends: NameEnds) -> Iterable[str]:
    stem = image.name.removesuffix(ends.image) if ends.image else image.stem
    if ends.label is not None:
        return (f"{stem}{ends.label}", f"{_bare(stem)}{ends.label}")
    bare = _bare(stem)
    return (stem, *(f"{bare}{end}" for end in ("_gtFine_labelTrainIds", "_labelTrainIds", "_gt", "_mask", "")))
