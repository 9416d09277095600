"""DETR's transformer layers: attention with positions, the normalisation after each residual connection.

Source: DETR (arXiv:2005.12872), Masked-attention Mask Transformer (arXiv:2112.01527) for the masked form; names from
mmdet ``models/layers/transformer/detr_layers.py`` and ``mask2former_layers.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.attention import MultiheadAttention
from segship.models.layers.conv import RELU, build_norm
from segship.models.layers.nested import build_nested
from segship.models.layers.transformer import FFN, LAYER_NORM

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["DetrAttention", "DetrDecoder", "DetrDecoderLayer", "DetrEncoder", "DetrFFN", "MaskedDecoderLayer", "norms"]


def norms(norm_cfg: Cfg, channels: int, count: int) -> nn.ModuleList:
    """``count`` normalisations of tokens."""
    return nn.ModuleList([build_norm(norm_cfg, channels)[1] for _ in range(count)])


class DetrAttention(nn.Module):
    """Attention beside its residual connection; positions are added to queries and keys, not to values.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Number of heads.
        bias: Whether the projections have a bias.
    """

    def __init__(self, embed_dims: int = 256, num_heads: int = 8, *, bias: bool = True) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.attn = MultiheadAttention(embed_dims, num_heads, bias=bias)

    def forward(
        self,
        query: Tensor,
        memory: Tensor,
        *,
        query_pos: Tensor,
        memory_pos: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Attend from each query to all of the memory.

        Args:
            query: (N, L, C).
            memory: (N, S, C).
            query_pos: Positions of the queries, broadcastable to them.
            memory_pos: Positions of the memory, likewise.
            mask: bool, broadcastable to (N, heads, L, S): True where attention is allowed.

        Returns:
            (N, L, C).
        """
        return query + self.attn(query + query_pos, memory + memory_pos, memory, mask=mask)


class DetrFFN(FFN):
    """The feed-forward network beside its residual connection.

    Args:
        embed_dims, feedforward_channels, num_fcs, act_cfg: As `FFN`.
        add_identity: Whether there is a residual connection.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        *,
        num_fcs: int = 2,
        act_cfg: Cfg = RELU,
        add_identity: bool = True,
    ) -> None:
        super().__init__(embed_dims, feedforward_channels, num_fcs=num_fcs, act_cfg=act_cfg)
        self.add_identity = add_identity

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        y = super().forward(x)
        return x + y if self.add_identity else y


class _EncoderLayer(nn.Module):
    """Self-attention, then the feed-forward network."""

    def __init__(self, *, self_attn_cfg: Cfg, ffn_cfg: Cfg, norm_cfg: Cfg = LAYER_NORM) -> None:
        super().__init__()
        self.self_attn = build_nested(DetrAttention, self_attn_cfg)
        self.ffn = build_nested(DetrFFN, ffn_cfg)
        self.norms = norms(norm_cfg, self.self_attn.embed_dims, 2)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        x = self.norms[0](self.self_attn(x, x, query_pos=position, memory_pos=position))
        return self.norms[1](self.ffn(x))


class DetrEncoder(nn.Module):
    """Encoder layers one after the other.

    Args:
        num_layers: How many.
        layer_cfg: ``self_attn_cfg`` (`DetrAttention`), ``ffn_cfg`` (`DetrFFN`) and ``norm_cfg`` of each.
    """

    def __init__(self, *, num_layers: int, layer_cfg: Cfg) -> None:
        super().__init__()
        self.layers = nn.ModuleList([build_nested(_EncoderLayer, layer_cfg) for _ in range(num_layers)])

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """Tokens (N, L, C) and their positions, broadcastable to them -> (N, L, C)."""
        for layer in self.layers:
            x = layer(x, position)
        return x


class DetrDecoderLayer(nn.Module):
    """Attention among the queries, attention to the memory, then the feed-forward network.

    Args:
        self_attn_cfg, cross_attn_cfg: As `DetrAttention`.
        ffn_cfg: As `DetrFFN`.
        norm_cfg: Normalisation after each.
    """

    def __init__(self, *, self_attn_cfg: Cfg, cross_attn_cfg: Cfg, ffn_cfg: Cfg, norm_cfg: Cfg = LAYER_NORM) -> None:
        super().__init__()
        self.self_attn = build_nested(DetrAttention, self_attn_cfg)
        self.cross_attn = build_nested(DetrAttention, cross_attn_cfg)
        self.embed_dims = self.self_attn.embed_dims
        self.ffn = build_nested(DetrFFN, ffn_cfg)
        self.norms = norms(norm_cfg, self.embed_dims, 3)

    def forward(self, query: Tensor, memory: Tensor, *, query_pos: Tensor, memory_pos: Tensor) -> Tensor:
        """Queries (N, L, C), memory (N, S, C) and the positions of both -> (N, L, C)."""
        query = self.norms[0](self.self_attn(query, query, query_pos=query_pos, memory_pos=query_pos))
        query = self.norms[1](self.cross_attn(query, memory, query_pos=query_pos, memory_pos=memory_pos))
        return self.norms[2](self.ffn(query))


class MaskedDecoderLayer(DetrDecoderLayer):
    """Masked attention to the memory comes first, then attention among the queries (Mask2Former)."""

    def forward(
        self, query: Tensor, memory: Tensor, *, query_pos: Tensor, memory_pos: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """As `DetrDecoderLayer`, with a mask as `DetrAttention`'s."""
        query = self.cross_attn(query, memory, query_pos=query_pos, memory_pos=memory_pos, mask=mask)
        query = self.norms[0](query)
        query = self.norms[1](self.self_attn(query, query, query_pos=query_pos, memory_pos=query_pos))
        return self.norms[2](self.ffn(query))


class DetrDecoder(nn.Module):
    """Decoder layers, and the normalisation of what the last of them returns.

    Args:
        num_layers: How many.
        layer_cfg: Keywords of each layer.
        post_norm_cfg: The normalisation.
        layer: Class of the layers.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        layer_cfg: Cfg,
        post_norm_cfg: Cfg = LAYER_NORM,
        layer: type[DetrDecoderLayer] = DetrDecoderLayer,
    ) -> None:
        super().__init__()
        layers = [build_nested(layer, layer_cfg) for _ in range(num_layers)]
        self.layers = nn.ModuleList(layers)
        self.embed_dims = layers[0].embed_dims
        self.post_norm = build_norm(post_norm_cfg, self.embed_dims)[1]

    def forward(self, query: Tensor, memory: Tensor, *, query_pos: Tensor, memory_pos: Tensor) -> Tensor:
        """Queries (N, L, C), memory (N, S, C) and the positions of both -> (N, L, C)."""
        for layer in self.layers:
            query = layer(query, memory, query_pos=query_pos, memory_pos=memory_pos)
        return self.post_norm(query)
