"""A Segmentor over a data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.metrics.confusion import Scores, confusion_matrix, reduce_zero_label, scores
from segship.vision.decode import find_images, read_image, read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.runtime import Segmentor

__all__ = ["Evaluation", "evaluate", "pair_files"]

_AHEAD = 4  # images decoded while the network works; more would only cost memory


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        images: Number of images.
        classes: Name of each class.
        matrix: int64 (classes, classes); rows true, columns predicted.
        scores: The figures that follow from it, in percent.
    """

    images: int
    classes: tuple[str, ...]
    matrix: NDArray[np.int64]
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON types; a class that does not occur has None."""
        rows = zip(self.classes, self.scores.IoU, self.scores.Acc, strict=True)
        return {
            "images": self.images,
            "aAcc": _number(self.scores.aAcc),
            "mIoU": _number(self.scores.mIoU),
            "mAcc": _number(self.scores.mAcc),
            "classes": [{"name": name, "IoU": _number(iou), "Acc": _number(acc)} for name, iou, acc in rows],
            "confusion_matrix": self.matrix.tolist(),
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def pair_files(images: Path, labels: Path, limit: int | None = None) -> list[tuple[Path, Path]]:
    """Each image of a folder with the label map of the same name.

    Args:
        images: Folder of images.
        labels: Folder of label maps. One lies at its image's relative path, with the suffix ``.png``, or with what data
            sets put between name and extension (``_gtFine_labelTrainIds``, ``_labelTrainIds``, ``_gt``).
        limit: Take only so many images.

    Raises:
        InputError: A folder is missing, or images have no label map; the message names the first.
    """
    if not labels.is_dir():
        raise InputError(f"{labels} is not a folder: give the folder of the label maps")
    files = find_images([images])[:limit]
    root = images if images.is_dir() else images.parent
    found = [(file, _label_of(file.relative_to(root), labels)) for file in files]
    missing = [file for file, label in found if label is None]
    if missing:
        expected = labels / missing[0].relative_to(root).with_suffix(".png")
        raise InputError(
            f"{len(missing)} of {len(files)} images have no label map; the first is {missing[0]}: no {expected}"
        )
    return [(file, label) for file, label in found if label is not None]


def _label_of(image: Path, labels: Path) -> Path | None:
    stem = image.stem.removesuffix("_leftImg8bit").removesuffix("_img")
    for name in (image.stem, f"{stem}_gtFine_labelTrainIds", f"{stem}_labelTrainIds", f"{stem}_gt", stem):
        for suffix in (".png", ".tif", ".tiff", ".bmp"):
            path = labels / image.parent / f"{name}{suffix}"
            if path.is_file():
                return path
    return None


def evaluate(
    segmentor: Segmentor,
    pairs: list[tuple[Path, Path]],
    *,
    zero_is_ignore: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict every image and count its pixels by class.

    Args:
        segmentor: An opened package.
        pairs: Image and label map of each sample.
        zero_is_ignore: Whether label 0 means "ignore" and the others move down by one; None: as the package says.
        progress: Called with (done, all) after each image.

    Raises:
        InputError: An image or label map cannot be used; the message names the file.
    """
    classes = segmentor.spec.classes
    reduce = segmentor.spec.reduce_zero_label if zero_is_ignore is None else zero_is_ignore
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for done, (pair, image, labels) in enumerate(_decoded(pairs), start=1):
        truth = reduce_zero_label(labels) if reduce else labels
        try:
            matrix += confusion_matrix(segmentor(image, channel_order="bgr"), truth, len(classes))
        except InputError as error:
            raise InputError(f"{pair[1]}: {error}") from error
        if progress is not None:
            progress(done, len(pairs))
    return Evaluation(len(pairs), classes, matrix, scores(matrix))


def _decoded(
    pairs: list[tuple[Path, Path]],
) -> Iterator[tuple[tuple[Path, Path], NDArray[np.uint8], NDArray[Any]]]:
    """Decode a few samples ahead in a thread, so that the network does not wait for the disk."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(_read, pair) for pair in pairs[:_AHEAD]]
        for index, pair in enumerate(pairs):
            image, labels = waiting.pop(0).result()
            if index + _AHEAD < len(pairs):
                waiting.append(pool.submit(_read, pairs[index + _AHEAD]))
            yield pair, image, labels


def _read(pair: tuple[Path, Path]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    return read_image(pair[0]), read_labels(pair[1])
