"""A network that comes as a graph of some engine's, which runs it: what all of these have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from segship.core.errors import UnsupportedError
from segship.networks.network import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segship.core.spec import SizeRule
    from segship.networks.arrangement import Arrangement
    from segship.onnxgraph.ranges import Range

__all__ = ["GraphNetwork", "bearable_bytes"]

_PROBE = (256, 320)
_BYTES = 2**27
_BYTES_OF_A_PIXEL = 4096  # of the input: a hundred maps of float32 at a third of its side, and much more


def bearable_bytes(x: Tensor) -> int:
    """Return how much memory a real network may take for an input (N, C, H, W), its weights aside."""
    return _BYTES + _BYTES_OF_A_PIXEL * x[:, 0].numel()


class GraphNetwork(Network):
    """A network whose layers are known to its engine only.

    Args:
        sizes: Which input sizes it takes.
    """

    def __init__(self, sizes: SizeRule) -> None:
        super().__init__()
        self._sizes = sizes
        self.describe(1, 1, align_corners=False)

    @abstractmethod
    def observe(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], Range]:
        """Return the output for an image (N, C, H, W) as it leaves the graph, and which values it can have.

        Args:
            image: float32, normalised.

        Raises:
            UnsupportedError: It does not run.
        """

    @abstractmethod
    def arrange(self, arrangement: Arrangement) -> None:
        """Let the graph return scores (N, K, h, w).

        Args:
            arrangement: What lies between its output and them.
        """

    def probe(self, channels: int) -> int:
        """Run the network once and return the channels of its scores.

        Args:
            channels: Number of channels of the image.

        Raises:
            UnsupportedError: It does not run, or its output has another rank.
        """
        scores = self.first_logits(torch.zeros(self.sizes.batch or 1, channels, *self.sizes.nearest(*_PROBE)))
        if scores.ndim != 4:  # noqa: PLR2004
            shape = tuple(scores.shape)
            raise UnsupportedError(f"the network returns an array of shape {shape}, expected (N, classes, h, w)")
        return scores.shape[1]

    def first_logits(self, x: Tensor) -> Tensor:
        """Compute `logits` of a network of which nothing is known yet, within bounds where its engine has some."""
        return self.logits(x)

    def describe(self, classes: int, channels: int, *, align_corners: bool) -> None:
        """Take over what is known once the network has been probed.

        Args:
            classes: Number of classes.
            channels: Channels of its scores.
            align_corners: How its scores are resized.
        """
        self.num_classes, self.out_channels, self.threshold = classes, channels, None
        self.align_corners = align_corners

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return self._sizes
