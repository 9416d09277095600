"""What a network returns, logits, probabilities or labels, and what a pipeline makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segship.core.artifacts import Session
from segship.core.errors import UnsupportedError
from segship.core.spec import ModelSpec, SizeRule, Slide
from segship.runtime.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

UNRECORDED = "the expected probabilities and labels are computed here, in a line of NumPy each"

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


class Scores(Session):
    """Returns a function of the input's first channels."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return {"logits": self._function(feeds["image"]).astype(np.float32)}


def pipeline(function: Any, **said: Any) -> Pipeline:
    count = 2 if said.get("output") == "sigmoid" else 3
    spec = ModelSpec(
        source="mine", architecture="Net", classes=tuple("abc"[:count]), palette=((0, 0, 0),) * count, **said
    )
    return Pipeline(Scores(function), spec, SizeRule())


SLIDES = pytest.mark.parametrize("slide", [None, Slide(crop=(6, 4), stride=(6, 4))], ids=["whole", "slide"])


@SLIDES
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7])
def test_a_probability_is_compared_with_the_threshold_as_it_is(slide: Slide | None, threshold: float) -> None:
    found = pipeline(
        lambda x: x[:, :1] / 255, output="sigmoid", returns="probabilities", threshold=threshold, slide=slide
    )
    probability = IMAGE[:, :, 0].astype(np.float32) / 255
    np.testing.assert_array_equal(found.labels(IMAGE, "rgb"), probability > threshold)
    np.testing.assert_allclose(found.scores(IMAGE, "rgb"), probability[None], atol=1e-6)


@SLIDES
def test_probabilities_of_several_classes_stay_as_they_are(slide: Slide | None) -> None:
    parts = IMAGE.astype(np.float32) + 1
    parts /= parts.sum(2, keepdims=True)
    found = pipeline(lambda x: (x + 1) / (x + 1).sum(1, keepdims=True), returns="probabilities", slide=slide)
    np.testing.assert_allclose(found.scores(IMAGE, "rgb"), parts.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(found.labels(IMAGE, "rgb"), parts.argmax(2))


def test_labels_have_no_scores() -> None:
    found = pipeline(lambda x: np.eye(3)[x.argmax(1)].transpose(0, 3, 1, 2), returns="labels")
    np.testing.assert_array_equal(found.labels(IMAGE, "rgb"), IMAGE.argmax(2))
    with pytest.raises(UnsupportedError, match=r"returns labels, of which no scores are known: .*argmax"):
        found.scores(IMAGE, "rgb")
    with pytest.raises(ValueError, match=r"and labels \(returns\) are not"):
        pipeline(lambda x: x, output="sigmoid", returns="labels")
