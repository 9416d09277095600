"""The judge of int8: IoU before and after where there are labels, the agreement of the masks where there are none."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError, SegshipWarning
from segship.core.manifest import Accuracy
from segship.datasets.label_encoding import LabelEncoding, survey
from segship.datasets.samples import Sample, pair_up
from segship.metrics.confusion import areas, confusion_matrix, iou, mean_of
from segship.verification.compare import compare_labels
from segship.verification.gates import accuracy_failures
from segship.verification.inputs import spread
from segship.vision.bands import read_pixels
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segship.core.plan import Int8
    from segship.core.spec import ModelSpec

__all__ = ["Int8Judge", "Measurement", "calibration_samples"]

_FEW = 16


@dataclass(frozen=True, eq=False)
class Measurement:
    """The masks that an engine makes of the calibration images.

    Attributes:
        masks: Labels (H, W) of each image.
        areas: int64 (images with labels, 3, K), `segship.metrics.confusion.areas` of each; None where no image has any.
        accuracy: Where there are labels.
        agreement: Share of the pixels that keep the original network's label, 0-1, the mean over the images; None for
            the original itself.
    """

    masks: list[NDArray[Any]]
    areas: NDArray[np.int64] | None
    accuracy: Accuracy | None
    agreement: float | None


class Int8Judge:
    """Measures engines on the calibration images and holds int8 against the original network.

    Args:
        samples: Images, with label maps where there are any.
        spec: How the network sees images and labels.
        options: What int8 may cost.
    """

    def __init__(self, samples: Sequence[Sample], spec: ModelSpec, options: Int8) -> None:
        self._samples, self._spec, self._options = samples, spec, options
        self.labelled = sum(sample.labels is not None for sample in samples)

    def measure(self, label: Callable[[NDArray[Any]], NDArray[Any]], before: Measurement | None = None) -> Measurement:
        """Run every image.

        Args:
            label: Makes the mask (H, W) of an image as `segship.vision.bands.read_pixels` reads it.
            before: Of the original network.
        """
        return self.of_masks([label(read_pixels(sample.image, self._spec)) for sample in self._samples], before)

    def of_masks(self, masks: list[NDArray[Any]], before: Measurement | None = None) -> Measurement:
        """Measure masks that are there already.

        Args:
            masks: Labels (H, W) of each image.
            before: Of the original network.
        """
        agreement = None
        if before is not None:
            pairs = zip(before.masks, masks, strict=True)
            agreement = float(np.mean([compare_labels(old, new).labels_equal for old, new in pairs]))
        found = self._areas(masks) if self.labelled else None
        return Measurement(masks, found, None if found is None else self._accuracy(found), agreement)

    def failures(self, before: Measurement, after: Measurement) -> list[str]:
        """Tell what does not pass, in words.

        The images are a sample, so the change of mIoU counts with its standard error.

        Args:
            before: Of the original network.
            after: Of the engine in int8.
        """
        if before.accuracy is not None and after.accuracy is not None:
            return accuracy_failures(before.accuracy, after.accuracy, self._options, _error(before, after))
        gate = self._options.agreement
        if after.agreement is not None and after.agreement < gate:
            return [f"{after.agreement:.2%} of the pixels keep their label (gate {gate:.0%}; no labels given)"]
        return []

    def _areas(self, masks: list[NDArray[Any]]) -> NDArray[np.int64]:
        classes, found = self._spec.classes, []
        encoding = LabelEncoding(len(classes), self._spec.reduce_zero_label, self._spec.palette)
        encoding = survey(encoding, self._samples)
        for sample, mask in zip(self._samples, masks, strict=True):
            if sample.labels is not None:
                truth = encoding.read(sample)
                if truth.unknown_values:
                    raise InputError(
                        f"{sample.labels}: {next(iter(truth.unknown_values))} occurs, the network has the classes 0 to "
                        f"{len(classes) - 1}: wrong label files, or label 0 means ignore (--reduce-zero-label)"
                    )
                found.append(areas(confusion_matrix(mask, truth.labels, len(classes))))
        return np.stack(found)

    def _accuracy(self, found: NDArray[np.int64]) -> Accuracy:
        each = iou(found.sum(axis=0))
        named = zip(self._spec.classes, each, strict=True)
        return Accuracy(mIoU=mean_of(each), IoU={name: float(one) for name, one in named if not np.isnan(one)})


def _error(before: Measurement, after: Measurement) -> float:
    """The standard error of the change of mIoU, in points: the jackknife's over the images; 0 of a single one."""
    if before.areas is None or after.areas is None or len(before.areas) == 1:
        return 0.0
    old, new = ([mean_of(iou(rest)) for rest in each.sum(axis=0) - each] for each in (before.areas, after.areas))
    return float(np.nanstd(np.subtract(new, old)) * np.sqrt(len(new) - 1))


def calibration_samples(options: Int8) -> list[Sample]:
    """Find the images that int8 is calibrated on, with their label maps where a folder of these is given.

    Args:
        options: Names the folders.

    Returns:
        At most ``options.images``, spread over the folder.

    Raises:
        InputError: No folder is named, or no image can be used.
    """
    if options.calibration is None:
        raise InputError(
            "int8 needs images to find the range of every value: --calibration FOLDER "
            f"(in Python, int8=Int8(calibration=...)), {options.images} or more images like those the network will see"
        )
    if options.labels is not None:
        samples = pair_up(Path(options.calibration), Path(options.labels))
        found = [sample for sample in samples if sample.labels is not None]
    else:
        found = [Sample(file.stem, file, None) for file in find_images([options.calibration])]
    if not found:
        raise InputError(f"none of the images of {options.calibration} has a label map in {options.labels}")
    chosen = spread(found, options.images)
    if len(chosen) < _FEW:
        warnings.warn(
            f"int8 is calibrated on {len(chosen)} images; with fewer than {_FEW}, values it never saw are cut off",
            SegshipWarning,
            stacklevel=2,
        )
    return chosen
