"""The results of one image, written; which errors are the image's own."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import SegshipError
from segship.core.files import write_atomically
from segship.core.memory import is_out_of_memory
from segship.formats.masks import Labelled, Meaning, as_npz
from segship.runtime.object_store import encoded
from segship.vision import confidence
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import picture, write_jpeg, write_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.runtime.object_store import Place
    from segship.runtime.result_form import ResultForm
    from segship.runtime.segmentor import Segmentor

__all__ = ["is_of_the_image", "reason_of", "write_results"]

_REJECTED = "rejected"  # stands for a class in the index


def write_results(
    segmentor: Segmentor, place: Place, to: Path, name: str, form: ResultForm, begin: Callable[[], None]
) -> dict[str, Any]:
    """Write the results of an image that is no scene.

    Args:
        segmentor: Makes the mask.
        place: The image.
        to: Folder for the results.
        name: Of its results.
        form: What is written.
        begin: Called before the first file is written.

    Returns:
        What is to be noted of them.

    Raises:
        SegshipError: The image cannot be used, or a result cannot be written (`is_of_the_image` tells which).
    """
    image: NDArray[Any] = read_pixels(encoded(place), segmentor.spec, max_pixels=form.max_pixels)
    paths = {kind: to / path for kind, path in form.files(name).items()}
    mask, scores = _run(segmentor, image, form)
    begin()
    meaning = Meaning(segmentor.classes, segmentor.spec.palette)
    labelled = Labelled((PurePosixPath(name).parent / place.name).as_posix(), mask, meaning)
    write_atomically(to / form.masks.own(name), form.masks.encode(labelled))
    if form.overlay:
        drawn = picture(as_picture(image), mask, meaning.classes, meaning.palette, form.style)
        write_jpeg(paths["overlay"], drawn)
    if form.scores and scores is not None:
        write_atomically(paths["scores"], as_npz(scores=scores.astype(np.float16)))
    if form.confidence is not None and scores is not None:
        sure = confidence.confidence(scores, form.confidence, sigmoid=segmentor.spec.output == "sigmoid")
        write_png(paths["confidence"], confidence.as_grey(sure))
    height, width = mask.shape
    made = {"width": width, "height": height, "classes": _pixels_of(mask, segmentor.spec)}
    settings = {key: value for key, value in form.settings().items() if value is not None}
    shared = {"labels": form.masks.labels(name)} if form.masks.joined else {}
    return {"files": shared | form.files(name)} | made | settings


def is_of_the_image(error: Exception) -> bool:
    """Return whether the next image may do better: not where a result cannot be written, but for a name too long.

    Args:
        error: Of `write_results`.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno != errno.ENAMETOOLONG:
        return False
    return isinstance(error, SegshipError) or is_out_of_memory(error)


def reason_of(error: Exception, place: Place) -> str:
    """Return in one line why an image cannot be used, with its place.

    Args:
        error: Of `write_results`.
        place: The image.
    """
    known = isinstance(error, SegshipError)
    reason = " ".join(str(error).split()) if known else "there is not enough memory for it"
    return reason if str(place) in reason else f"{place}: {reason}"


def _run(
    segmentor: Segmentor, image: NDArray[Any], form: ResultForm
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Labels (H, W) and, where they are needed, probabilities (C, H, W)."""
    if not form.needs_scores:
        return segmentor(image, channel_order="bgr"), None
    mask, scores = segmentor.mask_and_scores(image, channel_order="bgr", raw=form.raw_scores)
    if form.reject is None:
        return mask, scores
    return confidence.reject(mask, scores, form.reject, sigmoid=segmentor.spec.output == "sigmoid"), scores


def _pixels_of(mask: NDArray[Any], spec: ModelSpec) -> dict[str, int]:
    """How many pixels each class that occurs has, by name."""
    counts = np.bincount(mask.reshape(-1))
    found: Counter[str] = Counter()
    for label in np.flatnonzero(counts):
        found[spec.classes[label] if label < len(spec.classes) else _REJECTED] += int(counts[label])
    return dict(found)
