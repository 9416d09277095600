"""Attention between the cells of feature maps, one head, channels before positions.

Source: Attention Is All You Need (arXiv:1706.03762); upstream ``SelfAttentionBlock`` in
``mmseg/models/utils/self_attention_block.py`` (Apache-2.0), whose attribute names are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule, build_conv

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SelfAttentionBlock", "as_map", "attend"]


def as_map(x: Tensor, like: Tensor) -> Tensor:
    """(N, C, H*W) -> (N, C, H, W), the size being that of the map ``like``."""
    return torch.unflatten(x, 2, (like.shape[2], like.shape[3]))


def attend(query: Tensor, key: Tensor, value: Tensor, *, scale: float = 1.0) -> Tensor:
    """Each query's average of the values, weighted by the softmax of its products with the keys.

    Args:
        query: (N, C, L).
        key: (N, C, S).
        value: (N, D, S).
        scale: Factor of the products.

    Returns:
        (N, D, L).
    """
    q, k, v = (x.transpose(1, 2).unsqueeze(1) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, scale=scale).squeeze(1).transpose(1, 2)


class SelfAttentionBlock(nn.Module):
    """Attention of one map's cells to another's, every projection a stack of 1x1 convolutions.

    Args:
        key_in_channels: Channels of the map that keys and values come from.
        query_in_channels: Channels of the map that queries come from.
        channels: Channels of keys and queries.
        out_channels: Channels of the result.
        share_key_query: Whether keys and queries have one projection.
        key_query_num_convs, value_out_num_convs: Convolutions in each projection.
        key_query_norm, value_out_norm: Whether they are normalised and activated.
        matmul_norm: Whether products are divided by the square root of ``channels``.
        with_out: Whether values have ``channels`` channels and one more projection follows the attention.
        key_downsample: (N, C, H, W) -> (N, C, S), applied to keys and values; None: all cells are used.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        key_in_channels: int,
        query_in_channels: int,
        channels: int,
        out_channels: int,
        *,
        share_key_query: bool = False,
        key_query_num_convs: int = 1,
        key_query_norm: bool = False,
        value_out_num_convs: int = 1,
        value_out_norm: bool = False,
        matmul_norm: bool = False,
        with_out: bool = False,
        key_downsample: nn.Module | None = None,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__()
        cfgs = (conv_cfg, norm_cfg, act_cfg)
        self.key_project = _projection(key_in_channels, channels, key_query_num_convs, cfgs, norm=key_query_norm)
        self.query_project = (
            self.key_project
            if share_key_query
            else _projection(query_in_channels, channels, key_query_num_convs, cfgs, norm=key_query_norm)
        )
        width = channels if with_out else out_channels
        self.value_project = _projection(key_in_channels, width, value_out_num_convs, cfgs, norm=value_out_norm)
        self.out_project = (
            _projection(width, out_channels, value_out_num_convs, cfgs, norm=value_out_norm) if with_out else None
        )
        self.key_downsample = nn.Flatten(2) if key_downsample is None else key_downsample
        self.scale = channels**-0.5 if matmul_norm else 1.0

    def forward(self, query_map: Tensor, key_map: Tensor | None = None) -> Tensor:
        """(N, query_in_channels, H, W), (N, key_in_channels, h, w) or None for the same -> (N, out_channels, H, W)."""
        key_map = query_map if key_map is None else key_map
        query = self.query_project(query_map).flatten(2)
        key = self.key_downsample(self.key_project(key_map))
        value = self.key_downsample(self.value_project(key_map))
        context = as_map(attend(query, key, value, scale=self.scale), query_map)
        return context if self.out_project is None else self.out_project(context)


def _projection(
    in_channels: int, channels: int, count: int, cfgs: tuple[Cfg | None, Cfg | None, Cfg | None], *, norm: bool
) -> nn.Module:
    """``count`` 1x1 convolutions, plain or with normalisation and activation; a single one stands alone."""
    conv_cfg, norm_cfg, act_cfg = cfgs

    def conv(width: int) -> nn.Module:
        if norm:
            return ConvModule(width, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        return build_conv(None, width, channels, 1)

    convs = [conv(width) for width in [in_channels] + [channels] * (count - 1)]
    return convs[0] if count == 1 else nn.Sequential(*convs)
