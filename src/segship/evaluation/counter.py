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
from segship.evaluation.outputs import OutputFolders, Outputs
from segship.evaluation.scenes import GroundMismatchError, LabelledBlocks, can_see_scenes, is_seen_by_windows
from segship.evaluation.tally import Tally
from segship.metrics.boundary import boundary_areas
from segship.metrics.confusion import confusion_matrix
from segship.verification.compare import compare_labels
from segship.vision.bands import read_stored
from segship.vision.decode import MAX_PIXELS, read_image
from segship.vision.label_maps import label_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.datasets.samples import Sample
    from segship.evaluation.network import Labeller
    from segship.runtime.scene_plan import SceneOptions

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
        scene: How rasters are seen by windows, where every image is one; None: those are that `segship.predict` takes
            for such, in its usual way.
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
    scene: SceneOptions | None = None

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
        if self.labelled and sample.labels and is_seen_by_windows(sample.image, self.max_pixels, self.scene):
            networks = engines.get()
            try:
                if can_see_scenes(networks):
                    return self._count_scene(tally, place, sample, networks)
            finally:
                engines.put(networks)
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

    def _count_scene(self, tally: Tally, place: int, sample: Sample, networks: WorkerEngines) -> Tally:
        """Count a raster by windows; in flat memory where nothing is asked for that needs all of it."""
        try:
            with LabelledBlocks(sample, networks, self.encoding, self.scene) as parts:
                if parts.sizes[0] != parts.sizes[1]:
                    self._blame_size(tally, place, sample, parts.sizes)
                    return tally
                if self.boundary or self.outputs.folders != OutputFolders(files=self.outputs.folders.files):
                    self._count_whole(tally, place, sample, parts)
                else:
                    for _, _, masks, labels in parts.blocks():
                        self._add(tally, place, masks, labels)
                self._blame_values(tally, place, sample, parts.unknown_values)
        except GroundMismatchError as error:
            tally.blame("ground_mismatch", place, str(error))
            return tally
        except InputError as error:
            found = self.empty()  # not half an image
            found.blame("refused", place, str(error) if str(sample.image) in str(error) else f"{sample.image}: {error}")
            return found
        tally.images = 1
        return tally

    def _count_whole(self, tally: Tally, place: int, sample: Sample, parts: LabelledBlocks) -> None:
        height, width = parts.sizes[1]
        if height * width > self.max_pixels:
            raise InputError(
                f"{sample.image} has {height * width:,} pixels, which are counted by windows: leave out what needs the "
                "whole mask (--to, --show-dir, --boundary), or raise --max-pixels"
            )
        masks, labels = parts.whole()
        pictured = self.outputs.folders.pictures is not None
        image = self._read_image(sample) if pictured else np.empty((height, width, 0), np.uint8)
        self.outputs.write(sample, image, masks[0], labels)
        self._add(tally, place, masks, labels)

    def _read_image(self, sample: Sample) -> NDArray[Any]:
        if self.bands is None:
            return read_image(sample.image, max_pixels=self.max_pixels)
        return read_stored(sample.image, self.bands, max_pixels=self.max_pixels)

    @staticmethod
    def _blame_size(tally: Tally, place: int, sample: Sample, sizes: Iterable[tuple[int, ...]]) -> None:
        told = (f"{width}x{height}" for height, width in sizes)
        tally.blame("size_mismatch", place, "{} is {}, its image {}".format(sample.labels, *told))

    @staticmethod
    def _blame_values(tally: Tally, place: int, sample: Sample, unknown: Mapping[str, int]) -> None:
        if unknown:
            values = ", ".join(f"{name} ({count} pixels)" for name, count in list(unknown.items())[:5])
            tally.blame("labels_out_of_range", place, f"{sample.labels}: {values}")

    def _read(self, tally: Tally, place: int, sample: Sample) -> tuple[NDArray[np.uint8], Truth | None] | None:
        if self.labelled and sample.labels is None:
            tally.blame("missing_labels", place, str(sample.image))
            return None
        try:
            image = self._read_image(sample)
            truth = self.encoding.read(sample) if self.labelled else None
        except InputError as error:
            tally.blame("unreadable", place, str(error))
            return None
        if truth is None:
            return image, None
        if truth.labels.shape != image.shape[:2]:
            self._blame_size(tally, place, sample, (truth.labels.shape, image.shape[:2]))
            return None
        self._blame_values(tally, place, sample, truth.unknown_values)
        return image, truth

    def _add(self, tally: Tally, place: int, masks: list[NDArray[Any]], labels: NDArray[Any]) -> None:
        nothing = masks[0] >= self.classes  # of a raster, where it has no value; not counted
        first = np.where(nothing, 0, masks[0]).astype(masks[0].dtype) if nothing.any() else masks[0]
        tally.matrix += confusion_matrix(first, labels, self.classes)
        if self.boundary:
            tally.boundary = boundary_areas(first, labels, self.classes)
        if tally.other is None:
            return
        second = remap_labels(np.where(nothing, 0, masks[1]) if nothing.any() else masks[1], self.translate)
        tally.other += confusion_matrix(second, labels, self.classes)
        found = compare_labels(first, second, counted=labels != IGNORE)
        tally.differing += found.pixels_differ
        tally.extremes = [(tally.differing / max(1, int(tally.matrix.sum())), place)]


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
