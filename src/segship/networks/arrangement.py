"""How the output of a network of others becomes scores (N, K, h, w)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Arrangement"]

_IMAGE = 4  # dimensions of (N, K, h, w)


@dataclass(frozen=True)
class Arrangement:
    """What lies between the output of a network and scores.

    Attributes:
        last: The channels are the last axis: (N, h, w, K), or (N, h, w, 1) of labels.
        labels: Number of classes where the output holds labels, (N, h, w) or with one channel: the scores are then 1
            for the label's class and 0 for all others; None for scores.
    """

    last: bool = False
    labels: int | None = None

    def scores(self, output: Tensor) -> Tensor:
        """Return scores (N, K, h, w) of what the network returned."""
        if self.last:
            output = output.permute(0, 3, 1, 2)
        if self.labels is None:
            return output
        if output.ndim < _IMAGE:
            output = output.unsqueeze(1)
        return (output == torch.arange(self.labels, device=output.device).reshape(1, -1, 1, 1)).float()
