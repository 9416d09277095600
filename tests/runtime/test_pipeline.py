"""Image file to label map, against what the real MMSegmentation's ``inference_model`` gave with the same weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from segship import sources
from segship.core.artifacts import Session
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.vision.decode import read_image
from support import fill
from support.references import REFERENCES, configs


class Remembered(Session):
    """Runs the network once for each input, though labels and scores both ask for it: here it takes nearly all time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known: dict[bytes, np.ndarray] = {}

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        image = feeds["image"]
        key = repr(image.shape).encode() + image.tobytes()
        if key not in self.known:
            self.known[key] = self.session.run(feeds)["logits"]
        return {"logits": self.known[key].copy()}


CASES = json.loads((REFERENCES / "pipeline" / "index.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"].removesuffix(".npz"))
def test_labels_equal_mmsegmentations(case: dict[str, Any]) -> None:
    loaded = sources.load(configs() / case["config"], random_weights=True)
    fill.fill_network(loaded.network)
    pipeline = Pipeline(Remembered(EagerSession(loaded.network)), loaded.spec, loaded.network.sizes)
    image = read_image(REFERENCES / "pipeline" / case["image"])
    recorded = np.load(REFERENCES / "pipeline" / case["file"])
    labels = pipeline.labels(image, "bgr")
    assert labels.shape == tuple(case["ori_shape"])
    assert (labels == recorded["labels"]).mean() >= 0.999
    scores = pipeline.scores(image, "bgr")
    logits = recorded["logits"].astype(np.float64)
    if len(logits) > 1:
        expected = np.exp(logits - logits.max(0))
        expected /= expected.sum(0)
        # A softmax turns a relative difference of 1e-5 of logits in the thousands into one of 1e-2.
        tolerance = max(1e-4, 4e-5 * case["absmax"])
        np.testing.assert_allclose(scores[:, ::16, ::16], expected, atol=tolerance)
