"""An evaluation as data, so that other processes can take part in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segship.evaluation.counter import Counter, count_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segship.datasets.samples import Sample
    from segship.evaluation.counter import Lane
    from segship.evaluation.network import NetworkFiles
    from segship.evaluation.tally import Tally

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """An evaluation.

    Attributes:
        network: What is evaluated.
        counter: What is counted of each image.
        samples: Of the data set.
        against: What it is compared with, or None.
    """

    network: NetworkFiles
    counter: Counter
    samples: tuple[Sample, ...]
    against: NetworkFiles | None = None

    def open(self, shares: int = 1) -> list[Lane]:
        """The networks of each lane.

        Args:
            shares: How many processes work beside this one, itself included.

        Returns:
            For each lane the network, and the one it is compared with.
        """
        first = self.network.open(shares)
        if self.against is None:
            return [(network,) for network in first]
        return list(zip(first, self.against.open(shares), strict=False))

    def count(self, lanes: Sequence[Lane], places: Iterable[int], done: Callable[[int, Tally], None]) -> None:
        """Count the samples at ``places`` in this process.

        Args:
            lanes: The networks, as `open` returned them; each computes one image at a time.
            places: Of the samples.
            done: Called with the place of each sample and its tally, one call at a time.
        """
        count_all(self.counter, lanes, self.samples, places, done)

    def identity(self) -> dict[str, Any]:
        """What decides the counts, as JSON types."""
        return {
            "networks": [files.identity() for files in (self.network, self.against) if files is not None],
            "counter": repr(self.counter),
            "samples": [[str(sample.image), str(sample.labels)] for sample in self.samples],
        }
