"""Networks whose arithmetic on sizes ncnn has no layers for: it is done before the graph is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segship import load_network
from segship.backends import ncnn as backend
from segship.core.target import Target
from segship.graph.program import capture_torchscript
from segship.models.session import EagerSession
from support import fill
from support.references import configs

pytestmark = pytest.mark.slow


def test_a_plain_transformer_with_resized_positions_gives_the_same_logits(tmp_path: Path) -> None:
    pytest.importorskip("pnnx", reason="needs segship[ncnn]")
    network = load_network(configs() / "segmenter" / "segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py")
    fill.fill_network(network)
    graph = capture_torchscript(network, tmp_path / "model.pt", size=(96, 128), dynamic=False)
    folder = tmp_path / "engine"
    folder.mkdir()
    session = backend.open(backend.convert(graph, Target.parse("ncnn_static-96x128"), folder))
    feeds = {"image": fill.image(96, 128)}
    expected, found = EagerSession(network).run(feeds)["logits"], session.run(feeds)["logits"]
    assert np.abs(expected - found).max() < 1e-4 * np.abs(expected).max()
    assert (expected.argmax(1) == found.argmax(1)).all()
