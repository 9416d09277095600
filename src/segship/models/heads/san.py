"""Side Adapter Network's head: weights only, see `MultimodalEncoderDecoder` for the reason.

Source: Side Adapter Network for Open-Vocabulary Semantic Segmentation (arXiv:2302.12242); upstream
``mmseg/models/decode_heads/san_head.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.layers.clip import ClipLayerWeights
from segship.models.layers.conv import ConvModule, build_norm
from segship.models.layers.nested import build_nested
from segship.models.layers.patch_embed import PatchEmbed
from segship.models.layers.transformer import GELU, LAYER_NORM, TransformerEncoderLayer
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.models.layers.conv import Cfg

__all__ = ["SideAdapterCLIPHead"]

_IMAGE = 640
"""Side of the image that the position embedding was made for; upstream has no option for it."""


def _perceptron(widths: Sequence[int], *, of_maps: bool = False) -> nn.Module:
    """Linear layers, or 1x1 convolutions, from each width to the next."""
    steps = itertools.pairwise(widths)
    layers = [nn.Conv2d(a, b, 1) if of_maps else nn.Linear(a, b) for a, b in steps]
    return nn.ModuleDict({"layers": nn.ModuleList(layers)})


def _side_layers(
    *, num_encode_layer: int, num_heads: int, mlp_ratio: int, embed_dims: int, norm_cfg: Cfg
) -> nn.ModuleList:
    """The side network's layers."""
    wide = mlp_ratio * embed_dims
    return nn.ModuleList(
        [TransformerEncoderLayer(embed_dims, num_heads, wide, norm_cfg=norm_cfg) for _ in range(num_encode_layer)]
    )


class _MaskDecoder(nn.Module):
    """From queries and maps to masks and to biases for CLIP's attention."""

    def __init__(
        self,
        *,
        embed_dims: int,
        num_heads: int = 1,
        num_layers: int = 1,
        embed_channels: int = 256,
        mlp_channels: int = 256,
        num_mlp: int = 3,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        hidden = [embed_dims] + [mlp_channels] * (num_mlp - 1)
        self.query_mlp = _perceptron([*hidden, embed_channels])
        self.pix_mlp = _perceptron([*hidden, embed_channels], of_maps=True)
        self.attn_mlp = _perceptron([*hidden, embed_channels * num_heads * num_layers], of_maps=True)
        self.bias_scaling = nn.Linear(1, 1) if rescale else nn.Identity()


class _SideAdapterNetwork(nn.Module):
    """The small transformer beside CLIP that proposes masks."""

    def __init__(
        self,
        *,
        cfg_encoder: Cfg,
        cfg_decoder: Cfg,
        in_channels: int = 3,
        clip_channels: int = 768,
        embed_dims: int = 240,
        patch_size: int = 16,
        patch_bias: bool = True,
        num_queries: int = 100,
        fusion_index: Sequence[int] = (0, 1, 2, 3),
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, padding=0, bias=patch_bias)
        self.pos_embed = nn.Parameter(torch.zeros(1, (_IMAGE // patch_size) ** 2, embed_dims))
        self.query_pos_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.query_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.encode_layers = build_nested(_side_layers, cfg_encoder, embed_dims=embed_dims, norm_cfg=norm_cfg)
        self.conv_clips = nn.ModuleList(
            [
                nn.Sequential(nn.LayerNorm(clip_channels), ConvModule(clip_channels, embed_dims, 1, act_cfg=None))
                for _ in fusion_index
            ]
        )
        self.mask_decoder = build_nested(_MaskDecoder, cfg_decoder, embed_dims=embed_dims)


class _MaskRecognition(nn.Module):
    """CLIP's last layers, which give each mask an embedding."""

    def __init__(
        self,
        *,
        sos_token_format: str = "cls_token",  # noqa: S107  (no password)
        sos_token_num: int = 100,  # tokens are copies of the class token: no weights
        num_layers: int = 3,
        cross_attn: bool = False,  # another order of the same weights
        embed_dims: int = 768,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        num_fcs: int = 2,  # upstream does not pass it on
        qkv_bias: bool = True,
        out_dims: int = 512,
        final_norm: bool = True,  # a division, no weights
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        if sos_token_format != "cls_token":  # noqa: S105
            raise UnsupportedError(
                f"SAN runs with sos_token_format 'cls_token' only, upstream too; the config has {sos_token_format!r}"
            )
        self.layers = nn.ModuleList(
            [ClipLayerWeights(embed_dims, num_heads, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias) for _ in range(num_layers)]
        )
        self.ln_post = build_norm(norm_cfg, embed_dims)[1]
        self.proj = nn.Linear(embed_dims, out_dims, bias=False)


@heads.register
class SideAdapterCLIPHead(nn.Module):
    """The weights of SAN's head; it has no ``forward``.

    Args:
        num_classes: Number of classes the head was trained with.
        san_cfg: The side network: ``embed_dims``, ``num_queries``, ``cfg_encoder``, ``cfg_decoder`` and so on.
        maskgen_cfg: CLIP's last layers: ``embed_dims``, ``num_layers``, ``out_dims`` and so on.
        deep_supervision_idxs: Layers that only training reads; without effect here.
        align_corners: How logits would be resized.
    """

    threshold: float | None = None

    def __init__(
        self,
        num_classes: int,
        *,
        san_cfg: Cfg,
        maskgen_cfg: Cfg,
        deep_supervision_idxs: Sequence[int] = (),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.out_channels = num_classes
        self.align_corners = align_corners
        self.side_adapter_network = build_nested(_SideAdapterNetwork, san_cfg)
        self.rec_with_attnbias = build_nested(_MaskRecognition, maskgen_cfg)
