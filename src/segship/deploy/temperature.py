"""The temperatures of a package's scores: fitted on labelled images, told with what they change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.calibration import Calibration, Reliability, ReliabilityBin, TemperatureFit
from segship.core.errors import InputError, SegshipWarning, SizeError
from segship.datasets.label_encoding import IGNORE, LabelEncoding, survey
from segship.datasets.samples import pair_up
from segship.metrics.calibration import fit_temperatures, negative_log_likelihood, probabilities, reliability
from segship.verification.inputs import spread
from segship.vision.bands import read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segship.core.plan import Temperature
    from segship.core.spec import ModelSpec
    from segship.core.target import Precision
    from segship.datasets.samples import Sample
    from segship.runtime.pipeline import Pipeline

__all__ = ["Pixels", "calibrate", "collect", "labelled_samples"]

_MOST_NUMBERS = 1 << 24  # logits that are kept: 64 MiB
_LEAST = 1e-30  # of a probability whose logarithm is taken
_FEW = 1000  # pixels


@dataclass(frozen=True, eq=False)
class Pixels:
    """Single pixels of labelled images.

    Attributes:
        images: How many images they are of.
        logits: float32 (n, K) of each class at the image's own size; of a sigmoid (n, 2), the first 0.
        found: (n,) label in the mask.
        truth: (n,) true label.
    """

    images: int
    logits: NDArray[np.float32]
    found: NDArray[np.intp]
    truth: NDArray[np.intp]


def labelled_samples(options: Temperature) -> list[Sample]:
    """Find the images, with their label maps.

    Args:
        options: Names the folders.

    Raises:
        InputError: No image has a label map.
    """
    pairs = pair_up(Path(options.calibration), Path(options.labels))
    found = [sample for sample in pairs if sample.labels is not None]
    if not found:
        raise InputError(f"none of the images of {options.calibration} has a label map in {options.labels}")
    return spread(found, options.images)


def collect(pipeline: Pipeline, spec: ModelSpec, samples: Sequence[Sample], progress: Callable[[str], None]) -> Pixels:
    """Run an engine and take logits at labelled pixels, spread evenly over each image.

    Args:
        pipeline: Runs it.
        spec: What the network expects and means.
        samples: Images with label maps.
        progress: Called with what is being done.

    Raises:
        InputError: A label map does not belong to its image or to this network, or no pixel has a label.
    """
    classes = len(spec.classes)
    encoding = survey(LabelEncoding(classes, spec.reduce_zero_label, spec.palette), samples)
    most = max(1, _MOST_NUMBERS // (max(2, classes) * len(samples)))
    parts = []
    for number, sample in enumerate(samples):
        progress(f"calibrating the scores, image {number + 1} of {len(samples)}")
        truth = encoding.read(sample)
        if truth.unknown_values:
            raise InputError(
                f"{sample.labels}: {next(iter(truth.unknown_values))} occurs, the network has the classes 0 to "
                f"{classes - 1}: wrong label files, or label 0 means ignore (--reduce-zero-label)"
            )
        parts.append(_pixels_of(pipeline, spec, sample, truth.labels, most))
    used = [part for part in parts if part is not None]
    if not used:
        raise InputError("no pixel of the label maps is of a class: there is nothing to calibrate the scores on")
    logits, found, truth_labels = (np.concatenate(column) for column in zip(*used, strict=True))
    return Pixels(len(used), logits, found, truth_labels)


def _pixels_of(
    pipeline: Pipeline, spec: ModelSpec, sample: Sample, truth: NDArray[Any], most: int
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]] | None:
    """Logits, labels and truth of at most so many pixels; None where the network cannot take the image."""
    pixels = read_pixels(sample.image, spec)
    if truth.shape != pixels.shape[:2]:
        raise InputError(
            f"{sample.image} is {pixels.shape[:2]} pixels, its label map {truth.shape}: they must be equal"
        )
    try:
        prepared = pipeline.prepare(pixels, "bgr")
        output = pipeline.infer(prepared)
    except SizeError as error:
        warnings.warn(f"{sample.image}: {error}; its pixels calibrate nothing", SegshipWarning, stacklevel=2)
        return None
    places = np.flatnonzero(truth.reshape(-1) != IGNORE)
    places = places[np.arange(min(len(places), most)) * len(places) // max(1, min(len(places), most))]
    values = pipeline.logits(output, prepared)
    taken = values.reshape(len(values), -1)[:, places].T
    finite = np.isfinite(taken).all(axis=1)
    mask = pipeline.decide(output, prepared).reshape(-1)
    return (
        _as_logits(taken[finite], spec),
        mask[places][finite].astype(np.intp),
        truth.reshape(-1)[places][finite].astype(np.intp),
    )


def _as_logits(values: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """What softmax over the columns is taken of: a sigmoid is a softmax whose first column is 0."""
    inside = spec.returns == "probabilities"
    if spec.output == "sigmoid":
        logit = np.log(np.maximum(values, _LEAST) / np.maximum(1 - values, _LEAST)) if inside else values
        return np.concatenate([np.zeros_like(logit), logit], axis=1, dtype=np.float32)
    return np.log(np.maximum(values, _LEAST)).astype(np.float32) if inside else values


def calibrate(
    options: Temperature, spec: ModelSpec, precision: Precision, engine: Pixels, network: Pixels | None = None
) -> Calibration:
    """Fit the temperatures of an engine, and those of the network beside it.

    Args:
        options: Says whether each class has its own.
        spec: What the network means.
        precision: Of the engine.
        engine: What it found.
        network: What the network itself found in fp32, where the engine is of another precision.

    Raises:
        InputError: There are too few labelled pixels.
    """
    if len(engine.truth) < _FEW:
        raise InputError(
            f"{len(engine.truth)} pixels with a label are too few to calibrate scores on (at least {_FEW}): give more "
            "images, or leave --labels out"
        )
    per_class = options.per_class and spec.output == "softmax"
    beside = None if network is None else _fit(network, "fp32", per_class=per_class)
    return Calibration(
        images=engine.images,
        pixels=len(engine.truth),
        engine=_fit(engine, precision, per_class=per_class),
        network=beside,
    )


def _fit(pixels: Pixels, precision: Precision, *, per_class: bool) -> TemperatureFit:
    found = fit_temperatures(pixels.logits, pixels.truth, per_class=per_class)
    temperatures = np.asarray([float(f"{one:.6g}") for one in found])
    return TemperatureFit(
        precision=precision,
        temperatures=tuple(temperatures.tolist()),
        before=_reliability(pixels, np.ones(1)),
        after=_reliability(pixels, temperatures),
    )


def _reliability(pixels: Pixels, temperatures: NDArray[np.float64]) -> Reliability:
    """Of the labels in the mask, which temperatures do not change."""
    sure = probabilities(pixels.logits, temperatures)[np.arange(len(pixels.found)), pixels.found]
    error, bins = reliability(sure, pixels.found == pixels.truth)
    return Reliability(
        ece=error,
        nll=min(1e30, negative_log_likelihood(pixels.logits, pixels.truth, temperatures)),
        bins=tuple(ReliabilityBin(**one._asdict()) for one in bins),
    )
