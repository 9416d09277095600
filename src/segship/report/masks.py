"""Masks of a few images, as small pictures side by side."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import SegshipError
from segship.report.request import network_of
from segship.report.results import ORIGINAL
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import overlay, write_jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.datasets.samples import Sample
    from segship.evaluation.data import SampleSet
    from segship.evaluation.network import NetworkFiles
    from segship.report.request import Request
    from segship.report.results import Store

__all__ = ["choose", "draw", "originals"]

_WIDTH = 360  # of a picture
_OPACITY = 0.65


def choose(data: SampleSet, count: int) -> list[Sample]:
    """Samples with label maps, spread over the data."""
    labelled = [sample for sample in data.samples if sample.labels is not None]
    places = np.linspace(0, len(labelled) - 1, min(count, len(labelled))).astype(int)
    return [labelled[place] for place in places]


def originals(
    request: Request, spec: ModelSpec, data: SampleSet, shown: Sequence[Sample]
) -> tuple[tuple[str, Path, Path], ...]:
    """Name, picture and truth of each sample; one that cannot be read is left out.

    Args:
        request: Says where to.
        spec: For the colours.
        data: For the label maps.
        shown: The samples.

    Raises:
        InputError: A picture cannot be written.
    """
    found = []
    for sample in shown:
        stem = _stem(sample)
        folder = request.to / "samples"
        image, truth = folder / f"{stem}.jpg", folder / f"{stem}_truth.jpg"
        rgb = as_picture(read_pixels(sample.image, spec))
        write_jpeg(image, _small(rgb))
        write_jpeg(truth, _small(overlay(rgb, data.encoding.read(sample).labels, spec.palette, _OPACITY)))
        found.append((sample.name, image, truth))
    return tuple(found)


def draw(request: Request, store: Store, name: str, spec: ModelSpec, shown: Sequence[Sample]) -> tuple[Path, ...]:
    """A picture of the mask of each sample, made again only where the network is another.

    Args:
        request: Says where to.
        store: Knows what was drawn before.
        name: `segship.report.results.ORIGINAL` or a target.
        spec: For the colours.
        shown: The samples.

    Raises:
        InputError: A picture cannot be written.
    """
    network = network_of(request, name)
    folder = request.to / "samples" / ("original" if name == ORIGINAL else request.package(name).name)
    paths = tuple(folder / f"{_stem(sample)}.jpg" for sample in shown)
    place = [] if network.device in {None, "cpu"} else [network.device]
    key = [network.identity(), [str(sample.image) for sample in shown], _WIDTH, *place]

    def make() -> dict[str, Any]:
        _draw_all(network, spec, shown, paths)
        return {}

    known = store.get(name, "samples", key)
    if known is None or not all(path.is_file() for path in paths):
        try:
            store.put(name, "samples", key, make())
        except SegshipError:
            return ()
    return paths


def _draw_all(network: NetworkFiles, spec: ModelSpec, shown: Sequence[Sample], paths: Sequence[Path]) -> None:
    label = network.open()[0]
    for sample, path in zip(shown, paths, strict=True):
        image = read_pixels(sample.image, spec)
        mask = label(image, channel_order="bgr")
        write_jpeg(path, _small(overlay(as_picture(image), mask, spec.palette, _OPACITY)))


def _stem(sample: Sample) -> str:
    """Distinct and short, whatever the sample is called."""
    return f"{sample.image.stem[:40]}_{hashlib.sha256(str(sample.image).encode()).hexdigest()[:8]}"


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if width <= _WIDTH:
        return picture
    size = _WIDTH, max(1, round(height * _WIDTH / width))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
