"""Global context block: one vector for the whole map, put back into every cell.

Source: GCNet (arXiv:1904.11492); upstream ``ContextBlock`` in mmcv ``cnn/bricks/context_block.py`` (Apache-2.0), whose
attribute names are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segship.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ContextBlock"]


class ContextBlock(nn.Module):
    """Pool the map to one vector, transform it, fuse it with every cell.

    Args:
        in_channels: Channels of the map.
        ratio: Channels inside the transformation over ``in_channels``.
        pooling_type: ``"att"``: an average with learnt weights; ``"avg"``: the plain one.
        fusion_types: ``"channel_mul"``, ``"channel_add"`` or both; multiplication comes first.

    Raises:
        UnsupportedError: A pooling or fusion type is unknown, or there is no fusion.
    """

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: Literal["att", "avg"] = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        if pooling_type not in {"att", "avg"}:
            raise UnsupportedError(f"a context block pools by 'att' or 'avg', not {pooling_type!r}")
        if not fusion_types or not set(fusion_types) <= {"channel_add", "channel_mul"}:
            raise UnsupportedError(f"a context block fuses by 'channel_add' and 'channel_mul', not {fusion_types!r}")
        width = int(in_channels * ratio)

        def transformation() -> nn.Sequential:
            narrow, widen = nn.Conv2d(in_channels, width, 1), nn.Conv2d(width, in_channels, 1)
            return nn.Sequential(narrow, nn.LayerNorm([width, 1, 1]), nn.ReLU(), widen)

        self.conv_mask = nn.Conv2d(in_channels, 1, 1) if pooling_type == "att" else None
        self.channel_add_conv = transformation() if "channel_add" in fusion_types else None
        self.channel_mul_conv = transformation() if "channel_mul" in fusion_types else None

    def _pool(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 1, 1)."""
        if self.conv_mask is None:
            return x.mean((2, 3), keepdim=True)
        weights: Tensor = self.conv_mask(x).flatten(2).softmax(2)
        return (x.flatten(2) @ weights.transpose(1, 2)).unsqueeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        context = self._pool(x)
        if self.channel_mul_conv is not None:
            x = x * self.channel_mul_conv(context).sigmoid()
        if self.channel_add_conv is not None:
            x = x + self.channel_add_conv(context)
        return x
