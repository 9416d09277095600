"""How what one engine computes differs from what another does, as a manifest says it."""

from __future__ import annotations

from typing import Annotated, Any

from segship.core.frozen import UNWRITTEN, Count, Frozen, Name, Share, Words
from segship.core.spec import MOST_CLASSES
from segship.core.validation import Before, Bound

__all__ = ["Comparison", "Exactness", "Nearness", "undefined"]


def undefined(value: Any) -> Any:
    """Read JSON's null as the number that is none.

    Args:
        value: What the file says.
    """
    return float("nan") if value is None else value


Difference = Annotated[float, Before(undefined)]
"""0 or more; NaN: undefined, null in JSON."""


class Nearness(Frozen):
    """How near something is to the network in float64, at one input.

    Attributes:
        labels_equal: Share of pixels whose label is the same, 0-1.
        max_difference, mean_difference: Of the logits, divided by the greatest magnitude of float64's; 0 where labels
            were compared.
    """

    labels_equal: Share
    max_difference: Difference = 0.0
    mean_difference: Difference = 0.0


class Exactness(Frozen):
    """How near the engine is to the network in float64, and how near PyTorch is in float32.

    Attributes:
        engine: The engine.
        network: PyTorch in float32: the farthest of the ways in which it computes, from float64 or from the one that
            the engine was compared with, whichever is less: where all ways agree and float64 alone is elsewhere, the
            network does something else in float64, and that is no noise.
        beyond_noise: Share of pixels at which the engine's label is another than float64's, and float64 finds the two
            farther apart than PyTorch's logits are off at most, 0-1.
    """

    engine: Nearness
    network: Nearness
    beyond_noise: Share = 1.0

    def in_words(self) -> str:
        """Say it, for the end of a sentence."""
        labels = f"{self.engine.labels_equal:.4%}, of PyTorch's float32 {self.network.labels_equal:.4%}"
        means = f"{self.engine.mean_difference:.1e}, of PyTorch's {self.network.mean_difference:.1e}"
        beyond = f"{self.beyond_noise:.4%} are others by more than PyTorch's own logits are off"
        return f"of the engine's labels {labels} are float64's, {beyond}; logits differ on average by {means}"


class Comparison(Frozen):
    """One input, computed by a reference and by a candidate.

    Attributes:
        input: Shape of the input (N, C, H, W).
        image: What was fed: the name of an image, or ``"scene"`` for a bundled one.
        labels_equal: Share of pixels whose label is the same, 0-1; pixels between whose labels the reference itself is
            undecided within float32 noise count as the same.
        max_difference, mean_difference: Of the logits, divided by the greatest magnitude of the reference's; 0 where
            labels were compared. NaN where the candidate returned NaN or infinity, which a manifest writes as null.
        classes: For each class that the reference finds, the share of its pixels that the candidate labels so, too.
        pixels: Number of labels that were compared. This and what follows stays out of manifests.
        pixels_differ: How many of them are not the same, undecided or not.
        greatest: Greatest magnitude of the reference's logits.
        has_logits: Whether logits were compared, rather than labels alone.
        exact: How near both are to the network in float64; None: that was not asked, for the gate holds without it.
    """

    input: tuple[Count, Count, Count, Count]
    image: Words
    labels_equal: Share
    max_difference: Difference = 0.0
    mean_difference: Difference = 0.0
    classes: Annotated[dict[Name, Share], Bound(most=MOST_CLASSES)] = {}
    pixels: Annotated[int, UNWRITTEN] = 0
    pixels_differ: Annotated[int, UNWRITTEN] = 0
    greatest: Annotated[float, UNWRITTEN] = 0.0
    has_logits: Annotated[bool, UNWRITTEN] = True
    exact: Exactness | None = None

    def _omitted(self) -> tuple[str, ...]:
        return ("exact",) if self.exact is None else ()
