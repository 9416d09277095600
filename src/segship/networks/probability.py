"""The sigmoid of scores that are compared with one another, to the last digit of numbers near 0 and 1."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Sigmoid", "sigmoid"]


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)), of that many operators in a graph.

    Engines approximate theirs: that of ONNX Runtime is the same number for all x below -18, where torch's still differ
    by orders of magnitude, and which is greatest decides the label of a pixel that no mask claims.

    Args:
        x: Any shape.
    """
    return 1 / (1 + (-x).exp())


class Sigmoid(nn.Module):
    """`sigmoid` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same, in 0 to 1."""
        return sigmoid(x)
