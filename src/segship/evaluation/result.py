"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.evaluation.options import EvalOptions
from segship.evaluation.tally import KINDS
from segship.metrics.confusion import Scores, mean_of, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.datasets.samples import Sample
    from segship.evaluation.tally import Problem, Tally

__all__ = ["Evaluation", "SecondNetwork"]


@dataclass(frozen=True)
class SecondNetwork:
    """A second network on the same images.

    Attributes:
        name: Which network it is.
        matrix: int64 (classes, classes); rows true, columns predicted.
        scores: The figures that follow from it, in percent.
        agreement: Share of the counted pixels on which both networks say the same, in percent.
        images: Those on which they differ most: name and share of differing pixels in percent, the greatest first.
        places: Where these samples stand in the data set.
    """

    name: str
    matrix: NDArray[np.int64]
    scores: Scores
    agreement: float
    images: tuple[tuple[str, float], ...]
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        images: Number of images that were counted.
        classes: Name of each class.
        matrix: int64 (classes, classes); rows true, columns predicted.
        scores: The figures that follow from it, in percent.
        boundary: Boundary IoU of each class in percent, or None where it was not asked for.
        problems: What was wrong with samples.
        against: A second network, or None.
        seconds: How long it took; of a resumed run, the last part.
        resumed: How many samples an earlier run had counted.
        options: Which figures are asked for.
    """

    images: int
    classes: tuple[str, ...]
    matrix: NDArray[np.int64]
    scores: Scores
    boundary: NDArray[np.float64] | None = None
    problems: tuple[Problem, ...] = ()
    against: SecondNetwork | None = None
    seconds: float = 0.0
    resumed: int = 0
    options: EvalOptions = field(default_factory=EvalOptions)

    @classmethod
    def of(
        cls,
        tally: Tally,
        classes: tuple[str, ...],
        samples: tuple[Sample, ...],
        *,
        second: str = "",
        seconds: float = 0.0,
        resumed: int = 0,
        options: EvalOptions | None = None,
    ) -> Evaluation:
        """Compute the figures that follow from a tally.

        Args:
            tally: Of all samples.
            classes: Name of each class.
            samples: To name the images on which two networks differ.
            second: Name of the second network.
            seconds: How long it took.
            resumed: How many samples an earlier run had counted.
            options: How the figures are made; None: as MMSegmentation's evaluator makes them by default.

        Returns:
            The evaluation.
        """
        chosen = options or EvalOptions()
        boundary = None
        if tally.boundary is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                boundary = 100 * tally.boundary[0] / tally.boundary[1]
        problems = tuple(tally.problems[kind] for kind in KINDS if kind in tally.problems)
        return cls(
            images=tally.images,
            classes=classes,
            matrix=tally.matrix,
            scores=_scores(tally.matrix, chosen),
            boundary=boundary,
            problems=problems,
            against=_comparison(tally, samples, second, chosen),
            seconds=seconds,
            resumed=resumed,
            options=chosen,
        )

    @property
    def skipped(self) -> int:
        """The number of samples that were left out because of a problem."""
        return sum(problem.count for problem in self.problems if problem.kind != "labels_out_of_range")

    def as_dict(self) -> dict[str, Any]:
        """Turn everything into JSON types; a figure that has no meaning for a class is None."""
        means = self._means(self.scores)
        columns = self.columns
        if self.boundary is not None:
            columns["BoundaryIoU"] = self.boundary
            means[f"{self._prefix}mBoundaryIoU"] = _number(mean_of(self.boundary))
        found: dict[str, Any] = {"images": self.images, "skipped": self.skipped, "seconds": self.seconds} | means
        found["classes"] = [
            {"name": name} | {column: _number(values[row]) for column, values in columns.items()}
            for row, name in enumerate(self.classes)
        ]
        found["problems"] = [
            {"kind": entry.kind, "count": entry.count, "examples": [text for _, text in entry.examples]}
            for entry in self.problems
        ]
        if self.against is not None:
            found["against"] = self._differences(self.against)
        return found | {"confusion_matrix": self.matrix.tolist()}

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """The figures of each class that are asked for, by name."""
        return {name: self.scores.per_class[name] for name in self.options.figures}

    @property
    def _prefix(self) -> str:
        return f"{self.options.prefix}/" if self.options.prefix else ""

    def _means(self, found: Scores) -> dict[str, float | None]:
        names = ("aAcc", *(f"m{name}" for name in self.options.figures))
        return {f"{self._prefix}{name}": _number(found.means[name]) for name in names}

    def _differences(self, other: SecondNetwork) -> dict[str, Any]:
        rows = zip(self.classes, self.scores.IoU, other.scores.IoU, self.scores.Acc, other.scores.Acc, strict=True)
        return {
            "name": other.name,
            "agreement": _number(other.agreement),
            "means": self._means(other.scores),
            "classes": [
                {
                    "name": name,
                    "IoU": _number(other_iou),
                    "IoU_difference": _number(other_iou - iou),
                    "Acc": _number(other_acc),
                    "Acc_difference": _number(other_acc - acc),
                }
                for name, iou, other_iou, acc, other_acc in rows
            ],
            "images": [{"name": name, "differing": _number(share)} for name, share in other.images],
            "confusion_matrix": other.matrix.tolist(),
        }


def _scores(matrix: NDArray[np.int64], options: EvalOptions) -> Scores:
    return scores(matrix, beta=options.beta, nan=None if options.nan_to_num is None else 100 * options.nan_to_num)


def _comparison(tally: Tally, samples: tuple[Sample, ...], name: str, options: EvalOptions) -> SecondNetwork | None:
    if tally.other is None:
        return None
    counted = int(tally.matrix.sum())
    extremes = [(place, 100 * share) for share, place in tally.extremes if share > 0]
    return SecondNetwork(
        name=name,
        matrix=tally.other,
        scores=_scores(tally.other, options),
        agreement=100 * (1 - tally.differing / counted) if counted else float("nan"),
        images=tuple((samples[place].name, share) for place, share in extremes),
        places=tuple(place for place, _ in extremes),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
