"""Files that an evaluation leaves behind for each image: predictions, submissions, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.formats.masks import Labelled, MaskFormat, Meaning, find
from segship.runtime.result_index import ResultIndex
from segship.vision.bands import as_picture
from segship.vision.draw import overlay, write_jpeg
from segship.vision.label_maps import label_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.datasets.samples import Sample

__all__ = ["OutputFolders", "Outputs"]

_GAP = 8  # pixels between truth and prediction


@dataclass(frozen=True)
class OutputFolders:
    """The files that an evaluation writes for each image.

    Attributes:
        predictions: Folder for the predictions, at the images' relative paths; None: none are written.
        form: Of the predictions, a name of `segship.formats.masks.FORMATS`.
        submission: Count nothing, and write predictions with the numbers that the data set's test server takes, as grey
            PNG named after the image alone.
        pictures: Folder for pictures: the prediction over the image, beside the truth over the image; None: none.
        opacity: Of the masks in pictures, 0-1.
        differences: Folder for pictures of the images on which two networks differ most; None: none.
        files: What the caller will write itself, so that it is not written over what is read.
    """

    predictions: Path | None = None
    form: MaskFormat = "png"
    submission: bool = False
    pictures: Path | None = None
    opacity: float = 0.5
    differences: Path | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """Writes the files of each image.

    Attributes:
        classes: Name of each class.
        palette: RGB of each class.
        folders: What to write, and where to.
        numbers: Number of each class in the files, in place of its label; empty: the labels.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    folders: OutputFolders = field(default_factory=OutputFolders)
    numbers: tuple[int, ...] = ()

    def paths(self, samples: Iterable[Sample]) -> Iterator[Path]:
        """Name the files that `write` makes of some samples, and those of the caller.

        Args:
            samples: Images, with their names.
        """
        yield from self.folders.files
        for sample in samples:
            yield from self._files(sample)

    def claim(self, samples: Iterable[Sample], *, resume: bool) -> None:
        """Take the folders for this evaluation, so that nothing of somebody else is written over.

        A folder that an evaluation wrote holds an index, as one of `segship.predict` does; a folder for a test server
        holds predictions alone, so that only ``resume`` tells whose they are.

        Args:
            samples: Images, with their names.
            resume: Go on with an interrupted run, whose files are replaced.

        Raises:
            InputError: A file is there that no earlier evaluation wrote.
        """
        indices = {} if self.numbers else {folder: ResultIndex(folder) for folder in self._folders()}
        if not resume:
            ours = [folder for folder, index in indices.items() if index.exists]
            paths = (path for sample in samples for path in self._files(sample))
            theirs = (path for path in paths if not any(path.is_relative_to(folder) for folder in ours))
            if (there := next((path for path in theirs if path.exists()), None)) is not None:
                raise InputError(f"{there} exists, and no earlier run wrote it: choose another folder, or move it away")
        for index in indices.values():
            index.begin()

    def list_results(self, samples: Sequence[Sample]) -> None:
        """Write what the folders hold beside the files of each image: an index, and files on all images.

        The index has a line for each image: its name, its file, and the files made of it.

        Args:
            samples: Images, with their names; those of which nothing was made are left out.
        """
        if self.numbers:
            return
        if (to := self.folders.predictions) is not None:
            form = find(self.folders.form)
            made = (to / form.own(sample.name) for sample in sorted(samples, key=lambda sample: sample.name))
            form.join(to, filter(Path.is_file, made), Meaning(self.classes, self.palette))
        for folder in self._folders():
            index = ResultIndex(folder)
            index.drop(sample.name for sample in samples)
            for sample in samples:
                paths = [path for path in self._files(sample) if path.is_relative_to(folder) and path.is_file()]
                if paths:
                    files = {path.suffix[1:]: str(path.relative_to(folder)) for path in paths}
                    index.add({"name": sample.name, "image": str(sample.image), "files": files})

    def _folders(self) -> tuple[Path, ...]:
        return tuple(folder for folder in (self.folders.predictions, self.folders.pictures) if folder is not None)

    def _files(self, sample: Sample) -> Iterator[Path]:
        to, pictures = self.folders.predictions, self.folders.pictures
        if to is not None:
            form = find(self.folders.form)
            names = [f"{sample.image.stem}.png"] if self.numbers else [form.own(sample.name), *form.whole]
            yield from (to / name for name in names)
        if pictures is not None:
            yield pictures / f"{sample.name}.jpg"

    def write(self, sample: Sample, image: NDArray[np.uint8], mask: NDArray[Any], truth: NDArray[Any] | None) -> None:
        """Write the files of one image.

        Args:
            sample: Names them.
            image: uint8 (H, W, 3), BGR.
            mask: Labels (H, W).
            truth: True labels (H, W), if they are known.

        Raises:
            InputError: A file cannot be written.
        """
        to, pictures = self.folders.predictions, self.folders.pictures
        if to is not None and self.numbers:
            numbers = np.asarray(self.numbers, label_dtype(max(self.numbers) + 1))
            _write_grey(to / f"{sample.image.stem}.png", numbers[mask])
        elif to is not None:
            image_name = (Path(sample.name).parent / sample.image.name).as_posix()
            form, meaning = find(self.folders.form), Meaning(self.classes, self.palette)
            write_atomically(to / form.own(sample.name), form.encode(Labelled(image_name, mask, meaning)))
        if pictures is not None:
            self._draw(pictures / f"{sample.name}.jpg", image, mask, truth)

    def _draw(self, path: Path, image: NDArray[np.uint8], mask: NDArray[Any], truth: NDArray[Any] | None) -> None:
        rgb, opacity = as_picture(image), self.folders.opacity
        drawn = [overlay(rgb, labels, self.palette, opacity) for labels in (truth, mask) if labels is not None]
        gap = np.full((rgb.shape[0], _GAP, 3), 255, np.uint8)
        write_jpeg(path, drawn[0] if len(drawn) == 1 else np.hstack([drawn[0], gap, drawn[1]]))


def _write_grey(path: Path, numbers: NDArray[Any]) -> None:
    _, data = cv2.imencode(".png", np.ascontiguousarray(numbers))
    write_atomically(path, bytes(data))
