"""A network that comes as a graph of some engine's, which runs it: what all of these have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.networks.network import Network

if TYPE_CHECKING:
    from segship.core.spec import SizeRule

__all__ = ["PROBE", "GraphNetwork"]

PROBE = (256, 320)
"""Size at which such a network is run to find what it returns."""


class GraphNetwork(Network):
    """A network whose layers are known to its engine only.

    Args:
        sizes: Which input sizes it takes.
    """

    def __init__(self, sizes: SizeRule) -> None:
        super().__init__()
        self._sizes = sizes
        self.describe(1, 1, align_corners=False)

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
        """Which input sizes the network takes."""
        return self._sizes
