"""What has been counted so far: it adds up in any order, and fits into a few kilobytes however large the data set."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["EXTREMES", "KINDS", "Problem", "Tally"]

EXTREMES = 16
"""How many of the images on which two networks differ most are remembered."""

_EXAMPLES = 20

KINDS = {
    "missing_labels": "image without a label map, left out",
    "unreadable": "image or label map that cannot be read, left out",
    "size_mismatch": "label map of another size than its image, left out",
    "ground_mismatch": "label map that lies elsewhere on the ground than its image, left out",
    "refused": "image that the network cannot take, left out",
    "labels_out_of_range": "label map with values that are no class, those pixels do not count",
}
"""What can be wrong with a sample, in words."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with some samples.

    Attributes:
        kind: A key of `KINDS`.
        count: How many samples have it.
        examples: Message for the first of them, by the sample's place in the data set.
    """

    kind: str
    count: int
    examples: tuple[tuple[int, str], ...]

    def __add__(self, other: Problem) -> Problem:
        examples = tuple(sorted({*self.examples, *other.examples}))[:_EXAMPLES]
        return Problem(self.kind, self.count + other.count, examples)


@dataclass
class Tally:
    """Sums over images.

    Attributes:
        matrix: int64 (classes, classes); rows true, columns predicted.
        other: The same of a second network, or None.
        boundary: int64 (2, classes), intersection and union near edges, or None where they are not asked for.
        images: How many images were counted.
        differing: On how many counted pixels the two networks differ.
        extremes: Share of pixels and place of the images on which they differ most.
        problems: What was wrong, by kind.
    """

    matrix: NDArray[np.int64]
    other: NDArray[np.int64] | None = None
    boundary: NDArray[np.int64] | None = None
    images: int = 0
    differing: int = 0
    extremes: list[tuple[float, int]] = field(default_factory=list)
    problems: dict[str, Problem] = field(default_factory=dict)

    @classmethod
    def empty(cls, classes: int, *, against: bool = False, boundary: bool = False) -> Tally:
        """Nothing counted yet."""
        return cls(
            matrix=np.zeros((classes, classes), np.int64),
            other=np.zeros((classes, classes), np.int64) if against else None,
            boundary=np.zeros((2, classes), np.int64) if boundary else None,
        )

    def blame(self, kind: str, place: int, message: str) -> None:
        """Note that the sample at ``place`` has a problem."""
        self._note(Problem(kind, 1, ((place, message),)))

    def add(self, other: Tally) -> None:
        """Add what was counted elsewhere; the order of additions does not matter."""
        self.matrix += other.matrix
        if self.other is not None and other.other is not None:
            self.other += other.other
        if self.boundary is not None and other.boundary is not None:
            self.boundary += other.boundary
        self.images += other.images
        self.differing += other.differing
        # The greatest share first; of equal ones the image that comes first.
        both = [*self.extremes, *other.extremes]
        self.extremes = heapq.nsmallest(EXTREMES, both, key=lambda entry: (-entry[0], entry[1]))
        for problem in other.problems.values():
            self._note(problem)

    def _note(self, problem: Problem) -> None:
        known = self.problems.get(problem.kind)
        self.problems[problem.kind] = problem if known is None else known + problem

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """The sums that are arrays, by name."""
        found = {"matrix": self.matrix, "other": self.other, "boundary": self.boundary}
        return {name: value for name, value in found.items() if value is not None}

    def figures(self) -> dict[str, Any]:
        """Everything else, as JSON types."""
        return {
            "images": self.images,
            "differing": self.differing,
            "extremes": self.extremes,
            "problems": [[entry.kind, entry.count, entry.examples] for entry in self.problems.values()],
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.int64]], figures: Mapping[str, Any]) -> Tally:
        """What `arrays` and `figures` were made of."""
        problems = [
            Problem(kind, count, tuple((place, message) for place, message in examples))
            for kind, count, examples in figures["problems"]
        ]
        return cls(
            matrix=arrays["matrix"],
            other=arrays.get("other"),
            boundary=arrays.get("boundary"),
            images=figures["images"],
            differing=figures["differing"],
            extremes=[(share, place) for share, place in figures["extremes"]],
            problems={problem.kind: problem for problem in problems},
        )
