"""A network that comes as a graph of some engine's, which runs it: what all of these have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segship.core.errors import UnsupportedError
from segship.networks.network import Network

if TYPE_CHECKING:
    from segship.core.spec import SizeRule

__all__ = ["GraphNetwork"]

_PROBE = (256, 320)


class GraphNetwork(Network):
    """A network whose layers are known to its engine only.

    Args:
        sizes: Which input sizes it takes.
    """

    def __init__(self, sizes: SizeRule) -> None:
        super().__init__()
        self._sizes = sizes
        self.describe(1, 1, align_corners=False)

    def probe(self, channels: int) -> int:
        """Run the network once and return the channels of its scores.

        Args:
            channels: Number of channels of the image.

        Raises:
            UnsupportedError: It does not run, or its output has another rank.
        """
        scores = self.logits(torch.zeros(self.sizes.batch or 1, channels, *self.sizes.nearest(*_PROBE)))
        if scores.ndim != 4:  # noqa: PLR2004
            shape = tuple(scores.shape)
            raise UnsupportedError(f"the network returns an array of shape {shape}, expected (N, classes, h, w)")
        return scores.shape[1]

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
