"""The feed-forward network and the encoder layer that vision transformers share.

Source: Attention Is All You Need (arXiv:1706.03762), An Image is Worth 16x16 Words (arXiv:2010.11929); names from mmcv
``cnn/bricks/transformer.py`` and mmseg ``models/backbones/vit.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.activation import build_activation
from segship.models.layers.attention import SelfAttention
from segship.models.layers.conv import build_norm

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["FFN", "GELU", "LAYER_NORM", "TransformerEncoderLayer", "add_norm"]

GELU: Cfg = {"type": "GELU"}
LAYER_NORM: Cfg = {"type": "LN"}


def add_norm(module: nn.Module, norm_cfg: Cfg, channels: int, postfix: str) -> str:
    """Give ``module`` a normalisation layer named after its kind, as mmcv does, and return the name: ``"ln1"``."""
    kind, norm = build_norm(norm_cfg, channels)
    module.add_module(kind + postfix, norm)
    return kind + postfix


class FFN(nn.Module):
    """Linear layers with activations between them.

    Args:
        embed_dims: Width of the tokens.
        feedforward_channels: Width between the layers.
        num_fcs: Number of linear layers, at least 2.
        act_cfg: The activation.

    Raises:
        ConfigError: ``num_fcs`` is less than 2.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int, *, num_fcs: int = 2, act_cfg: Cfg = GELU) -> None:
        super().__init__()
        if num_fcs < 2:
            raise ConfigError(f"a feed-forward network has at least 2 linear layers, num_fcs is {num_fcs}")
        widths = [embed_dims] + [feedforward_channels] * (num_fcs - 1)
        steps = itertools.pairwise(widths)
        hidden = [nn.Sequential(nn.Linear(a, b), build_activation(act_cfg)) for a, b in steps]
        self.layers = nn.Sequential(*hidden, nn.Linear(feedforward_channels, embed_dims))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C), without the residual connection."""
        return self.layers(x)


class TransformerEncoderLayer(nn.Module):
    """Attention, then the feed-forward network, each after a normalisation and beside a residual connection.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Attention heads.
        feedforward_channels, num_fcs, act_cfg: As `FFN`.
        qkv_bias: Whether the attention's projections have a bias.
        norm_cfg: The normalisation.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        *,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.norm1_name = add_norm(self, norm_cfg, embed_dims, "1")
        self.attn = SelfAttention(embed_dims, num_heads, bias=qkv_bias)
        self.norm2_name = add_norm(self, norm_cfg, embed_dims, "2")
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs=num_fcs, act_cfg=act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        x = x + self.attn(self.get_submodule(self.norm1_name)(x))
        return x + self.ffn(self.get_submodule(self.norm2_name)(x))
