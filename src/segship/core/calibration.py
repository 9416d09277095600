"""What is known of a package's probabilities: the temperatures that they are divided by, and how reliable they are."""

from __future__ import annotations

from typing import Annotated

from segship.core.frozen import Count, Finite, Frozen, Share
from segship.core.spec import MOST_CLASSES
from segship.core.target import Precision
from segship.core.validation import Bound

__all__ = ["Calibration", "Reliability", "ReliabilityBin", "TemperatureFit"]

Temperature = Annotated[float, Bound(ge=1e-3, le=1e3)]


class ReliabilityBin(Frozen):
    """The pixels whose confidence lies within one bin.

    Attributes:
        confidence: Their mean confidence, 0-1.
        accuracy: The share of them whose label is the true one.
        pixels: How many they are.
    """

    confidence: Share
    accuracy: Share
    pixels: Count


class Reliability(Frozen):
    """How often labels are right, by how confident the network is of them (Guo et al., arXiv:1706.04599).

    Attributes:
        ece: Expected calibration error, 0-1: the mean of |accuracy - confidence| over the pixels, bin by bin.
        nll: Mean negative log likelihood of the true labels, which the temperature makes smallest.
        bins: Of equal width from confidence 0 to 1; those without pixels are left out.
    """

    ece: Share
    nll: Finite
    bins: Annotated[tuple[ReliabilityBin, ...], Bound(most=100)] = ()


class TemperatureFit(Frozen):
    """The temperatures of an engine, and what they change.

    Attributes:
        precision: Of the engine.
        temperatures: One that all logits are divided by before softmax or sigmoid, or one for each class.
        before: Of the engine's own probabilities.
        after: With the temperatures.
    """

    precision: Precision
    temperatures: Annotated[tuple[Temperature, ...], Bound(least=1, most=MOST_CLASSES)]
    before: Reliability
    after: Reliability


class Calibration(Frozen):
    """How the temperatures of a package were found.

    Attributes:
        images: How many labelled images they were fitted on.
        pixels: How many of their pixels, spread over each image.
        engine: Of the package's engine; its scores are divided so.
        network: Of the network in fp32, beside it, where the engine is of another precision; it divides nothing.
    """

    images: Count
    pixels: Count
    engine: TemperatureFit
    network: TemperatureFit | None = None

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What the package's scores are divided by."""
        return self.engine.temperatures
