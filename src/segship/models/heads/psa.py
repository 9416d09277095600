"""Point-wise spatial attention head.

Source: PSANet (Zhao et al., ECCV 2018, hszhao.github.io/papers/eccv18_psanet.pdf); upstream
``mmseg/models/decode_heads/psa_head.py``, and ``PSAMask`` in mmcv ``ops/psa_mask.py`` (Apache-2.0), a compiled operator
that is written here with standard ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from segship.core.errors import ConfigError, SizeError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import as_map
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["PSAHead", "collect", "resize_aligned_if"]


def _interpolation(length: int, target: int, aligned: Tensor) -> Tensor:
    """Bilinear resizing of one axis as a matrix (target, length); ``aligned``: 1.0 with align_corners, 0.0 without."""
    index = torch.arange(target, dtype=torch.float32, device=aligned.device)
    before, after = (torch.full_like(aligned, size) for size in (length, target))
    centred = ((index + 0.5) * (before / after) - 0.5).clamp(min=0)
    cornered = index * ((before - 1) / (after - 1).clamp(min=1))
    source = torch.minimum(aligned * cornered + (1 - aligned) * centred, before - 1)
    cells = torch.arange(length, dtype=torch.float32, device=aligned.device)
    return (1 - (source.unsqueeze(1) - cells).abs()).clamp(min=0)


def resize_aligned_if(x: Tensor, size: tuple[int, int], aligned: Tensor) -> Tensor:
    """Bilinear resizing where only the data say whether ``align_corners`` holds.

    Args:
        x: (N, C, H, W).
        size: Target (height, width).
        aligned: A number, 1.0 with align_corners, 0.0 without.

    Returns:
        (N, C, *size).
    """
    rows, columns = (_interpolation(x.shape[2 + i], size[i], aligned).to(x.dtype) for i in (0, 1))
    return rows @ x @ columns.transpose(0, 1)


def collect(masks: Tensor, mask_size: tuple[int, int]) -> Tensor:
    """Turn every cell's mask, centred at the cell, into its weights of all cells (upstream ``PSAMask("collect")``).

    Args:
        masks: (N, mask height * mask width, H, W); the channels are the places of the mask, row after row.
        mask_size: (mask height, mask width).

    Returns:
        (N, H*W, H*W): [n, j, i] is what cell i's mask says of cell j, or 0 where the mask does not reach.
    """

    def offsets(length: int, reach: int) -> tuple[Tensor, Tensor]:
        index = torch.arange(length, device=masks.device)
        place = index.unsqueeze(1) - index + (reach - 1) // 2
        return place.clamp(0, reach - 1), (place >= 0) & (place < reach)

    batch, _, height, width = masks.shape
    (row, row_inside), (column, column_inside) = offsets(height, mask_size[0]), offsets(width, mask_size[1])
    cells = height * width
    place = (row[:, None, :, None] * mask_size[1] + column[None, :, None, :]).reshape(cells, cells)
    inside = (row_inside[:, None, :, None] & column_inside[None, :, None, :]).reshape(cells, cells)
    return masks.flatten(2).gather(1, place.expand(batch, cells, cells)).masked_fill(~inside, 0.0)


@heads.register
class PSAHead(DecodeHead):
    """Every cell gathers from the others by a mask of its own, and sends to them by a second one.

    Args:
        mask_size: Height and width of the masks, in cells.
        psa_type: Which of the two: ``"collect"``, ``"distribute"``, or ``"bi-direction"`` for both.
        compact: Whether masks are placed on the map instead of around the cell; the map has then as many cells as the
            mask.
        shrink_factor: How many times coarser the map is made for the attention.
        normalization_factor: Divisor of what was gathered; None: the cells of a mask.
        psa_softmax: Whether weights are made to sum to 1.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        ConfigError: ``psa_type`` is unknown.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        mask_size: tuple[int, int],
        psa_type: Literal["collect", "distribute", "bi-direction"] = "bi-direction",
        compact: bool = False,
        shrink_factor: int = 2,
        normalization_factor: float | None = 1.0,
        psa_softmax: bool = True,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            input_transform=input_transform,
            align_corners=align_corners,
        )
        if psa_type not in {"collect", "distribute", "bi-direction"}:
            raise ConfigError(f"psa_type is 'collect', 'distribute' or 'bi-direction', not {psa_type!r}")
        cells = mask_size[0] * mask_size[1]
        self.mask_size = (mask_size[0], mask_size[1])
        self.psa_type = psa_type
        self.compact = compact
        self.shrink_factor = shrink_factor
        self.factor = 1.0 / (cells if normalization_factor is None else normalization_factor)
        self.psa_softmax = psa_softmax

        def conv(width: int, out: int, size: int = 1, padding: int = 0) -> ConvModule:
            return ConvModule(width, out, size, padding=padding, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        def attention() -> nn.Sequential:
            return nn.Sequential(conv(channels, channels), nn.Conv2d(channels, cells, 1, bias=False))

        both = psa_type == "bi-direction"
        self.reduce = conv(self.width, channels)
        self.attention = attention()
        if both:
            self.reduce_p = conv(self.width, channels)
            self.attention_p = attention()
        self.proj = conv((2 if both else 1) * channels, self.width, padding=1)
        self.bottleneck = conv(2 * self.width, channels, 3, padding=1)

    def _weights(self, masks: Tensor, *, distribute: bool) -> Tensor:
        """Masks (N, mask cells, H, W) -> (N, H*W, H*W), how much of each cell (axis 1) goes to each (axis 2)."""
        if not self.compact:
            weights = collect(masks, self.mask_size)
            weights = weights.transpose(1, 2) if distribute else weights
        else:
            height, width = masks.shape[2:]
            if height * width != masks.shape[1]:
                mask = "x".join(map(str, self.mask_size))
                raise SizeError(f"compact masks of {mask} cells take a map of as many cells, not {height}x{width}")
            # Upstream transposes one of the two, and not the same one alone as in company.
            swap = distribute if self.psa_type == "bi-direction" else not distribute
            weights = masks.flatten(2).transpose(1, 2) if swap else masks.flatten(2)
        return weights.softmax(1) if self.psa_softmax else weights

    def _attend(self, x: Tensor, attention: nn.Module, *, distribute: bool) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        weights = self._weights(attention(x), distribute=distribute)
        return as_map(x.flatten(2) @ weights, x) * self.factor

    def _attend_all(self, maps: list[Tensor]) -> Tensor:
        if self.psa_type != "bi-direction":
            return self._attend(maps[0], self.attention, distribute=self.psa_type == "distribute")
        collected = self._attend(maps[0], self.attention, distribute=False)
        return torch.cat([collected, self._attend(maps[1], self.attention_p, distribute=True)], dim=1)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        maps = [self.reduce(x), self.reduce_p(x)] if self.psa_type == "bi-direction" else [self.reduce(x)]
        height, width = x.shape[2:]
        factor = self.shrink_factor
        if factor == 1:
            y = resize(self.proj(self._attend_all(maps)), (height, width), align_corners=self.align_corners)
        else:
            # Where neither side is a multiple of the factor both are rounded up and corners are aligned; otherwise
            # both are rounded down and they are not. Said without a branch, a captured graph serves all sizes.
            odd = ((height % factor + factor - 1) // factor) * ((width % factor + factor - 1) // factor)
            aligned = torch.full((), odd, dtype=torch.float32, device=x.device)
            small = (height // factor + odd, width // factor + odd)
            y = self.proj(self._attend_all([resize_aligned_if(part, small, aligned) for part in maps]))
            y = resize_aligned_if(y, (height, width), aligned)
        return self.classify(self.bottleneck(torch.cat([x, y], dim=1)))
