"""The result of a benchmark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Benchmark", "Measurement", "Refusal", "Spread"]


@dataclass(frozen=True)
class Spread:
    """The distribution of some durations, in milliseconds.

    Attributes:
        p50, p90, p99: So many per cent of the runs took no longer.
        low, high: Quartiles: half of the runs lie between them.
        mean: Their mean.
        runs: How many there were.
    """

    p50: float
    p90: float
    p99: float
    low: float
    high: float
    mean: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Summarise durations.

        Args:
            seconds: How long each run took; at least one.

        Returns:
            Milliseconds.
        """
        p50, p90, p99, low, high = (float(value) for value in 1000 * np.percentile(seconds, (50, 90, 99, 25, 75)))
        return cls(p50, p90, p99, low, high, 1000 * float(np.mean(seconds)), len(seconds))


@dataclass(frozen=True)
class Measurement:
    """One package with one batch size.

    Attributes:
        package: Its folder.
        target: Engine, precision and shape.
        batch: Images in one run.
        input: (height, width) that the network sees.
        latency: Of a run with the whole batch.
        stages: Median milliseconds of a run in each stage; the engine's alone in an engine-only benchmark.
        images_per_second: Images in one second, from the mean.
        memory: Peak resident memory of a process that does nothing else, in MiB; None where it cannot be told.
    """

    package: str
    target: str
    batch: int
    input: tuple[int, int]
    latency: Spread
    stages: Mapping[str, float]
    images_per_second: float
    memory: float | None = None


@dataclass(frozen=True)
class Refusal:
    """A package that cannot be run with a batch size, and why.

    Attributes:
        package: Its folder.
        batch: Images in one run.
        reason: Why.
    """

    package: str
    batch: int
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """The measurements of one run; only these may be compared with one another.

    Attributes:
        kind: ``"engine"``: the network alone, as vendors' tools time it; ``"end_to_end"``: from the image file to the
            mask, as users feel it.
        measurements: In the order of the packages, then of the batch sizes.
        refusals: What could not be measured.
        machine: Processor, number of processors, load when the run began, versions.
    """

    kind: Literal["engine", "end_to_end"]
    measurements: tuple[Measurement, ...]
    refusals: tuple[Refusal, ...]
    machine: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Turn everything into JSON types."""
        return asdict(self)
