"""What a network of others returns, found by running it on images: scores or labels, logits or probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import ModelSpec
from segship.networks.arrangement import Arrangement
from segship.verification.inputs import find_scenes
from segship.vision.bands import synthesize_bands
from segship.vision.preprocess import prepare_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import Normalization, PixelKind, Returned, SizeRule
    from segship.onnxgraph.ranges import Range

__all__ = ["Findings", "Observed", "find_returned", "probe_images"]

_SIZE = (256, 320)  # not square, so that it shows which axes are height and width
_LABELS, _IMAGE = 3, 4  # dimensions of (N, H, W) and (N, C, H, W)
_SUM = 2e-3  # float16 keeps so much of a sum of probabilities
_SAY = "say so in a description, or with --cfg-options returns="
_MANY = (
    "returns labels, so the number of classes must be told: classes: [road, …], or a number, in a YAML file beside it, "
    "or --cfg-options classes=[road,…]"
)


class Observed(Protocol):
    """A network of others that can be run as it is."""

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""

    def observe(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], Range]:
        """Return the output for an image (N, C, H, W) as it leaves the network, and which values it can have."""


class Findings(NamedTuple):
    """What was found out.

    Attributes:
        arrangement: How the output becomes scores.
        channels: Of the scores.
        returns: Which numbers they are.
        notes: What was found and what was assumed, in sentences.
        guessed: What ``returns`` was concluded from, where only the values on the images tell; else empty.
    """

    arrangement: Arrangement
    channels: int
    returns: Returned
    notes: tuple[str, ...] = ()
    guessed: str = ""


def probe_images(normalization: Normalization, pixels: PixelKind, sizes: SizeRule) -> list[NDArray[np.float32]]:
    """Return two inputs of a network: a bundled scene, and noise of all colours.

    Args:
        normalization: Of the network.
        pixels: Which numbers it sees.
        sizes: Which sizes it takes.

    Returns:
        float32 (N, C, H, W) each, normalised.
    """
    spec = ModelSpec(
        source="", architecture="", classes=("",), palette=((0, 0, 0),), normalization=normalization, pixels=pixels
    )
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    size = sizes.nearest(*_SIZE)
    images = (prepare_at(synthesize_bands(each, spec), spec, size) for each in (find_scenes()[0], noise))
    return [np.repeat(each, sizes.batch or 1, axis=0) for each in images]


def find_returned(
    network: Observed,
    images: list[NDArray[np.float32]],
    what: str,
    *,
    said: Returned | None = None,
    classes: int | None = None,
    last: bool = False,
) -> Findings:
    """Run a network, and find out what it returns.

    Its last operators decide. What only the values on the images tell is an assumption, which is told; where a mask
    depends on it, it is asked for instead.

    Args:
        network: It is run once for each image.
        images: Its inputs.
        what: The network, to begin error messages with.
        said: What the description says that it returns; None: nothing.
        classes: How many classes the description has; None: it does not say.
        last: Whether the channels of the image are its last axis.

    Raises:
        ConfigError: The description contradicts what was found, or must say what cannot be found out.
        UnsupportedError: The output is neither scores nor labels.
    """
    runs = [network.observe(image) for image in images]
    output = _Output([np.asarray(values) for values, _ in runs], runs[0][1], what, len(images[0]))
    channels_last = output.channels_last(images[0].shape[2:], last=last)
    return output.findings(said, classes, channels_last)


class _Output:
    """The output on each image, and which values it can have."""

    def __init__(self, values: list[NDArray[Any]], found: Range, what: str, batch: int) -> None:
        self.values, self.range, self.what = values, found, what
        self.shape = values[0].shape
        self.is_float = values[0].dtype.kind == "f"
        if len(self.shape) not in {_LABELS, _IMAGE} or self.shape[0] != batch:
            self.refuse()

    def refuse(self) -> None:
        raise UnsupportedError(
            f"{self.what} returns an array of shape {self.shape}, expected scores (N, classes, h, w) or "
            "labels (N, H, W)"
        )

    def channels_last(self, size: tuple[int, ...], *, last: bool) -> bool:
        """Whether the two axes before the last are height and width, and the last two are not."""
        if len(self.shape) != _IMAGE:
            return False
        first, second = (_alike(self.shape[place : place + 2], size) for place in (2, 1))
        return second and (last or not first)

    def findings(self, said: Returned | None, classes: int | None, last: bool) -> Findings:
        channels = 1 if len(self.shape) == _LABELS else self.shape[3 if last else 1]
        notes = _LAST if last else ()
        if channels == 1 and (why := self._labels(said)) is not None:
            many = self._classes(classes)
            return Findings(Arrangement(last, many), many, "labels", (*notes, *_told(why)), why)
        if len(self.shape) == _LABELS or not self.is_float:
            self.refuse()
        returns, why = (said, "") if said is not None else self._scores(channels, 3 if last else 1)
        if returns == "probabilities" and not self._within():
            raise ConfigError(f"{self.what} returns values outside 0-1, which are no probabilities: {_SAY}logits")
        return Findings(Arrangement(last), channels, returns, (*notes, *_told(why)), why)

    def _labels(self, said: Returned | None) -> str | None:
        """What shows that one channel holds labels, where that is a guess; None where it holds scores."""
        if not self.is_float or said == "labels" or (said is None and self.range.whole):
            return ""
        if said is not None or self.range.is_probability or not self._varies():
            return None
        return _WHOLE if all((each == np.round(each)).all() for each in self.values) else None

    def _classes(self, described: int | None) -> int:
        """Number of classes of labels: two where they are a decision."""
        many = described or (2 if self.range.high <= 1 else None)
        if many is None:
            raise ConfigError(f"{self.what} {_MANY}")
        low, high = (int(each) for each in (self._least(), self._greatest()))
        if low < 0 or high >= many:
            raise ConfigError(f"{self.what} returns the labels {low} to {high}, but {many} classes are described")
        return many

    def _scores(self, channels: int, axis: int) -> tuple[Returned, str]:
        """What scores are, and what shows it where that is a guess."""
        if self.range.whole:
            return "labels", ""
        if self.range.is_probability:
            return "probabilities", ""
        if not self._varies() or not self._within():
            return "logits", ""
        if channels == 1:
            raise ConfigError(
                f"{self.what} returns values between 0 and 1, and nothing in it tells whether they are probabilities: "
                f"{_SAY}probabilities, or =logits"
            )
        sums = [each.sum(axis=axis, dtype=np.float64) for each in self.values]
        if all((np.abs(each - 1) < _SUM).all() for each in sums):
            return "probabilities", _SUMS
        return "logits", _NO_SUMS

    def _least(self) -> float:
        return min(float(each.min()) for each in self.values)

    def _greatest(self) -> float:
        return max(float(each.max()) for each in self.values)

    def _varies(self) -> bool:
        return self._least() < self._greatest()

    def _within(self) -> bool:
        return self._least() >= -_SUM and self._greatest() <= 1 + _SUM


_LAST = ("The network returns its channels last, (N, h, w, classes): a transpose was put after it.",)
_WHOLE = "it returns whole numbers for the probe images: labels"
_SUMS = "what it returns sums to 1 at every pixel of the probe images: probabilities"
_NO_SUMS = "what it returns lies in 0-1 on the probe images, but does not sum to 1: logits all the same"


def _told(guess: str) -> tuple[str, ...]:
    """A note on what was concluded, and how to say something else."""
    if not guess:
        return ()
    return (f"Assumed: {guess}. Otherwise --cfg-options returns=logits, =probabilities or =labels says so.",)


def _alike(sides: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether two axes are height and width: of the input's aspect ratio, but for rounding."""
    return abs(sides[0] / size[0] - sides[1] / size[1]) <= 1 / size[0] + 1 / size[1]
