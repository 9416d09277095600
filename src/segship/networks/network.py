"""What the stages after a source ask of a network, whoever wrote its layers."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from segship.core.errors import SizeError
from segship.core.spec import SizeRule
from segship.networks.resample import resize

if TYPE_CHECKING:
    from segship.core.artifacts import GraphFormat

__all__ = ["Network"]


class Network(nn.Module):
    """A network that segments images.

    Attributes:
        align_corners: How logits are resized.
        num_classes: Number of classes.
        out_channels: Channels of the logits: ``num_classes``, or 1 for a binary network.
        threshold: Probability above which a binary network's label is 1; None: its framework's own.
        graph_format: The only format it can be captured in; None: any.
        patch: Pixels of a patch each way, where the network sees patches; else 1. A tracer's examples differ by it.
    """

    graph_format: GraphFormat | None = None
    patch: int = 1

    align_corners: bool
    num_classes: int
    out_channels: int
    threshold: float | None

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return SizeRule()

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Logits at the network's own resolution.

        Args:
            x: float32 (N, C, H, W), normalised.

        Returns:
            float32 (N, K, h, w); resizing them bilinearly to (H, W) gives `forward`.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the input's resolution.

        Args:
            x: float32 (N, C, H, W), normalised.

        Returns:
            float32 (N, K, H, W).

        Raises:
            SizeError: The network cannot take an input of this size.
        """
        height, width = x.shape[2:]
        if not self.sizes.allows(height, width):
            raise SizeError(f"the input is {height}x{width}, this network takes {self.sizes}")
        return resize(self.logits(x), (height, width), align_corners=self.align_corners)
