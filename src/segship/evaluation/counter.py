"""Read an image, label it, count it: of different images all three happen at the same time."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.datasets.label_encoding import IGNORE, LabelEncoding, Truth, match_classes
from segship.evaluation.outputs import Outputs
from segship.evaluation.tally import Tally
from segship.metrics.boundary import boundary_areas
from segship.metrics.confusion import confusion_matrix
from segship.verification.compare import compare_labels
from segship.vision.bands import read_stored
from segship.vision.decode import MAX_PIXELS, read_image
from segship.vision.label_maps import label_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.datasets.samples import Sample
    from segship.evaluation.network import Labeller

    WorkerEngines = tuple[Labeller, ...]

__all__ = ["Counter", "count_all", "remap_labels", "translation"]

_SPARE = 2  # threads that decode and count while every engine computes
_BYTE = 256


@dataclass(frozen=True)
class Counter:
    """The quantities that are counted for each image.

    Attributes:
        encoding: What the numbers of the label maps mean.
        classes: How many classes the network has.
        against: Whether a second network is counted, too.
        translate: Class of the first network for each class of the second; empty: the same.
        boundary: Whether the pixels near edges are counted on their own.
        outputs: What is written for each image.
        labelled: Whether label maps are read at all.
        max_pixels: Images with more pixels are left out.
        bands: How many bands images have that the network takes as they are stored; None: photographs.
    """

    encoding: LabelEncoding
    classes: int
    against: bool = False
    translate: tuple[int, ...] = ()
    boundary: bool = False
    outputs: Outputs = field(default_factory=Outputs)
    labelled: bool = True
    max_pixels: int = MAX_PIXELS
    bands: int | None = None

    def empty(self) -> Tally:
        """A tally of the right shape with nothing in it."""
        return Tally.empty(self.classes, against=self.against, boundary=self.boundary)

    def count(self, place: int, sample: Sample, engines: queue.SimpleQueue[WorkerEngines]) -> Tally:
        """Everything about one sample.

        Args:
            place: Of the sample in the data set.
            sample: Its files.
            engines: Networks that are free; one is taken while it computes.

        Raises:
            SegshipError: A result cannot be written, or the engine failed.
        """
        tally = self.empty()
        read = self._read(tally, place, sample)
        if read is None:
            return tally
        image, truth = read
        networks = engines.get()
        try:
            masks = [network(image, channel_order="bgr") for network in networks]
        except InputError as error:
            told = str(error)
            tally.blame("refused", place, told if str(sample.image) in told else f"{sample.image}: {told}")
            return tally
        finally:
            engines.put(networks)
        labels = None if truth is None else truth.labels
        self.outputs.write(sample, image, masks[0], labels)
        tally.images = 1
        if labels is not None:
            self._add(tally, place, masks, labels)
        return tally

    def _read(self, tally: Tally, place: int, sample: Sample) -> tuple[NDArray[np.uint8], Truth | None] | None:
        if self.labelled and sample.labels is None:
            tally.blame("missing_labels", place, str(sample.image))
            return None
        try:
            image: NDArray[Any] = (
                read_image(sample.image, max_pixels=self.max_pixels)
                if self.bands is None
                else read_stored(sample.image, self.bands, max_pixels=self.max_pixels)
            )
            truth = self.encoding.read(sample) if self.labelled else None
        except InputError as error:
            tally.blame("unreadable", place, str(error))
            return None
        if truth is None:
            return image, None
        if truth.labels.shape != image.shape[:2]:
            sizes = (f"{width}x{height}" for height, width in (truth.labels.shape, image.shape[:2]))
            tally.blame("size_mismatch", place, "{} is {}, its image {}".format(sample.labels, *sizes))
            return None
        if truth.unknown_values:
            values = ", ".join(f"{name} ({count} pixels)" for name, count in list(truth.unknown_values.items())[:5])
            tally.blame("labels_out_of_range", place, f"{sample.labels}: {values}")
        return image, truth

    def _add(self, tally: Tally, place: int, masks: list[NDArray[Any]], labels: NDArray[Any]) -> None:
        first = masks[0]
        tally.matrix += confusion_matrix(first, labels, self.classes)
        if self.boundary:
            tally.boundary = boundary_areas(first, labels, self.classes)
        if tally.other is None:
            return
        second = remap_labels(masks[1], self.translate)
        tally.other += confusion_matrix(second, labels, self.classes)
        found = compare_labels(first, second, counted=labels != IGNORE)
        tally.differing = found.pixels_differ
        tally.extremes = [(found.pixels_differ / max(1, found.pixels), place)]


def remap_labels(mask: NDArray[Any], translate: tuple[int, ...]) -> NDArray[Any]:
    """The second network's labels as the first's.

    Args:
        mask: Labels (H, W).
        translate: The first network's class for each of the second's; empty: the same.
    """
    return mask if not translate else np.asarray(translate, label_dtype(max(translate) + 1))[mask]


def translation(first: ModelSpec, second: ModelSpec) -> tuple[int, ...]:
    """The first network's class for each class of the second; empty: the same.

    Raises:
        InputError: One has classes that the other lacks.
    """
    found = match_classes(second.classes, first.classes)
    if IGNORE in found:
        more = [name for name, place in zip(second.classes, found, strict=True) if place == IGNORE]
        raise InputError(f"the second network has classes that the first lacks: {', '.join(map(repr, more[:3]))}")
    return found


def count_all(
    counter: Counter,
    engines: Sequence[WorkerEngines],
    samples: Sequence[Sample],
    places: Iterable[int],
    done: Callable[[int, Tally], None],
) -> None:
    """Count the samples at ``places``, as many at once as there are engines.

    At most two images more than engines are in memory.

    Args:
        counter: What is counted.
        engines: Networks that may run at the same time.
        samples: Of the whole data set.
        places: Which of them.
        done: Called with the place of each sample and its tally, one call at a time.

    Raises:
        SegshipError: A result cannot be written, or an engine failed; what was done by then was handed over.
    """
    free: queue.SimpleQueue[WorkerEngines] = queue.SimpleQueue()
    for networks in engines:
        free.put(networks)
    left, taking, telling, stop = iter(places), threading.Lock(), threading.Lock(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            with taking:
                place = next(left, None)
            if place is None:
                return
            tally = counter.count(place, samples[place], free)
            with telling:
                done(place, tally)

    with ThreadPoolExecutor(len(engines) + _SPARE) as pool:
        threads = [pool.submit(work) for _ in range(len(engines) + _SPARE)]
        try:
            for thread in as_completed(threads):
                thread.result()
        except BaseException:
            stop.set()  # an interruption, too, waits only for the images that are under way
            raise
