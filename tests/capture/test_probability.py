from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from segship.capture.onnx import write_onnx
from segship.capture.options import CaptureOptions
from segship.networks.probability import Sigmoid
from segship.networks.wrapped import WrappedNetwork


class Low(nn.Module):
    """Two classes of which neither is likely."""

    def __init__(self) -> None:
        super().__init__()
        self.last = Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.cat((x[:, :1] - 40, x[:, 1:2] - 41), 1))
        return found


def test_the_greater_of_two_tiny_probabilities_is_the_same_in_an_engine(tmp_path: Path) -> None:
    network = WrappedNetwork(Low(), 2).eval()
    graph = write_onnx(network, tmp_path / "graph.onnx", CaptureOptions(size=(8, 8)))
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 11)).astype(np.float32)
    (found,) = session.run(None, {"image": x})
    expected = (x[:, 1] - 1 > x[:, 0]).astype(int)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(found.argmax(1), expected)
    np.testing.assert_allclose(found, torch.sigmoid(torch.from_numpy(np.stack([x[:, 0] - 40, x[:, 1] - 41], 1))), 1e-5)
