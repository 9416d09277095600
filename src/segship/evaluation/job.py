"""An evaluation as data, so that other processes can take part in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segship.datasets.label_encoding import IGNORE
from segship.evaluation.counter import Counter, count_all, translation
from segship.evaluation.network import NetworkFiles
from segship.evaluation.outputs import OutputFolders, Outputs
from segship.vision.bands import stored_bands
from segship.vision.decode import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from segship.core.spec import ModelSpec
    from segship.datasets.samples import Sample
    from segship.evaluation.counter import WorkerEngines
    from segship.evaluation.data import SampleSet
    from segship.evaluation.network import Evaluable
    from segship.evaluation.tally import Tally
    from segship.runtime.scene_plan import SceneOptions

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """An evaluation that other processes can take part in.

    Attributes:
        network: What is evaluated.
        counter: What is counted of each image.
        samples: Of the data set.
        against: What it is compared with, or None.
    """

    network: Evaluable
    counter: Counter
    samples: tuple[Sample, ...]
    against: Evaluable | None = None

    @classmethod
    def of(
        cls,
        network: Evaluable,
        spec: ModelSpec,
        found: SampleSet,
        *,
        against: Evaluable | None = None,
        boundary: bool = False,
        ignore: int | None = None,
        outputs: OutputFolders | None = None,
        max_pixels: int = MAX_PIXELS,
        scene: SceneOptions | None = None,
    ) -> Job:
        """Set up the evaluation of a network on samples.

        Args:
            network: What is evaluated.
            spec: What it expects and means.
            found: Images and label maps, found for this network.
            against: What it is compared with, or None.
            boundary: Whether the pixels near edges are counted on their own.
            ignore: A label whose pixels do not count, beside 255.
            outputs: What is written for each image; None: nothing.
            max_pixels: Images with more pixels are left out.
            scene: As of `segship.evaluation.counter.Counter`.

        Returns:
            The evaluation; nothing is opened yet.

        Raises:
            InputError: The two networks have different classes.
        """
        folders = outputs or OutputFolders()
        numbers = found.submission() if folders.submission else ()
        counter = Counter(
            replace(found.encoding, ignore=ignore, binary=found.encoding.binary and ignore != IGNORE),
            len(spec.classes),
            against=against is not None,
            translate=() if against is None else translation(spec, against.spec()),
            boundary=boundary,
            outputs=Outputs(spec.classes, spec.palette, folders, numbers),
            labelled=not folders.submission,
            max_pixels=max_pixels,
            bands=stored_bands(spec),
            scene=scene,
        )
        return cls(network, counter, found.samples, against)

    def open(self, shares: int = 1) -> list[WorkerEngines]:
        """Open the networks for each thread that computes.

        Args:
            shares: How many processes work beside this one, itself included.

        Returns:
            For each thread the network, and the one it is compared with.
        """
        first = self.network.open(shares)
        if self.against is None:
            return [(network,) for network in first]
        return list(zip(first, self.against.open(shares), strict=False))

    def count(
        self, engines: Sequence[WorkerEngines], places: Iterable[int], done: Callable[[int, Tally], None]
    ) -> None:
        """Count the samples at ``places`` in this process.

        Args:
            engines: The networks, as `open` returned them; each computes one image at a time.
            places: Of the samples.
            done: Called with the place of each sample and its tally, one call at a time.
        """
        count_all(self.counter, engines, self.samples, places, done)

    def identity(self) -> dict[str, Any] | None:
        """Tell what decides the counts, as JSON types; None: a network is of this process alone."""
        networks = [network.identity() for network in (self.network, self.against) if network is not None]
        if None in networks:
            return None
        return {
            "networks": networks,
            "counter": repr(self.counter),
            "samples": [[str(sample.image), str(sample.labels)] for sample in self.samples],
        }

    def files(self) -> Iterator[Path]:
        """List the files that are read: those of the networks, where they are known, images and label maps."""
        for network in (self.network, self.against):
            if isinstance(network, NetworkFiles):
                yield from network.files()
        for sample in self.samples:
            yield sample.image
            if sample.labels is not None:
                yield sample.labels
