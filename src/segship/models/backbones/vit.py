"""Vision Transformer (also DeiT), the backbone of SETR, Segmenter and DPT.

Source: An Image is Worth 16x16 Words (arXiv:2010.11929), DeiT (arXiv:2012.12877); upstream
``mmseg/models/backbones/vit.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.patch_embed import PaddingMode, PatchEmbed, pair
from segship.models.layers.positions import resized_positions
from segship.models.layers.tokens import to_map
from segship.models.layers.transformer import GELU, LAYER_NORM, TransformerEncoderLayer, add_norm
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["VisionTransformer"]


@backbones.register
class VisionTransformer(nn.Module):
    """A plain transformer over the patches of an image; every map it returns has the patches' stride.

    Args:
        img_size: Image size, a number or (height, width), that the position embedding was made for.
        patch_size: Side of a patch in pixels.
        patch_pad: Padding of an image that is no multiple of the patch: a number of pixels, or a way to pad.
        in_channels: Channels of the image.
        embed_dims: Width of the tokens.
        num_layers, num_heads: Layers, and attention heads of each.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        out_origin: Whether the embedded patches are returned, before the layers' maps.
        out_indices: Layers whose maps are returned; -1: the last.
        qkv_bias: Whether the attention's projections have a bias.
        with_cls_token: Whether the class token takes part in the layers.
        output_cls_token: Whether each output is a pair of the map and the class token.
        norm_cfg, act_cfg: Normalisation and activation.
        patch_norm, patch_bias: Whether the patch embedding has a normalisation and a bias.
        pre_norm, final_norm: Whether a normalisation comes before the first and after the last layer.
        interpolate_mode: How the position embedding is resized for images of another size.
        num_fcs: Linear layers in the feed-forward network.
        class_tokens: How many tokens come before the patches: 2 with DeiT's distillation token.

    Raises:
        ConfigError: The class token is asked for, but takes no part.
    """

    def __init__(
        self,
        *,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        patch_pad: int | PaddingMode = "corner",
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_origin: bool = False,
        out_indices: int | Sequence[int] = -1,
        qkv_bias: bool = True,
        with_cls_token: bool = True,
        output_cls_token: bool = False,
        norm_cfg: Cfg = LAYER_NORM,
        act_cfg: Cfg = GELU,
        patch_norm: bool = False,
        patch_bias: bool = False,
        pre_norm: bool = False,
        final_norm: bool = False,
        interpolate_mode: Literal["bilinear", "bicubic"] = "bicubic",
        num_fcs: int = 2,
        class_tokens: int = 1,
    ) -> None:
        super().__init__()
        if output_cls_token and not with_cls_token:
            raise ConfigError("output_cls_token=True needs with_cls_token=True: there is no class token otherwise")
        height, width = pair(img_size)
        self.grid = (height // patch_size, width // patch_size)
        self.interpolate_mode = interpolate_mode
        self.with_cls_token = with_cls_token
        self.output_cls_token = output_cls_token
        self.class_tokens = class_tokens
        self.out_origin = out_origin
        last = num_layers - 1
        self.out_indices = [last if out_indices == -1 else out_indices] if isinstance(out_indices, int) else out_indices
        self.patch_embed = PatchEmbed(
            in_channels,
            embed_dims,
            kernel_size=patch_size,
            padding=patch_pad,
            bias=patch_bias,
            norm_cfg=norm_cfg if patch_norm else None,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, class_tokens, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1] + class_tokens, embed_dims))
        self.pre_norm_name = add_norm(self, norm_cfg, embed_dims, "_pre") if pre_norm else None
        layers = [
            TransformerEncoderLayer(
                embed_dims,
                num_heads,
                mlp_ratio * embed_dims,
                num_fcs=num_fcs,
                qkv_bias=qkv_bias,
                act_cfg=act_cfg,
                norm_cfg=norm_cfg,
            )
            for _ in range(num_layers)
        ]
        self.layers = nn.ModuleList(layers)
        self.final_norm_name = add_norm(self, norm_cfg, embed_dims, "1") if final_norm else None

    def _positions(self, size: Size) -> Tensor:
        """Position embedding (1, h*w, C) of a grid of ``size`` patches."""
        return resized_positions(self.pos_embed[:, self.class_tokens :], self.grid, size, self.interpolate_mode)

    def _embed(self, x: Tensor) -> tuple[Tensor, Size]:
        """Image -> tokens, the class token first where it takes part, and the size of their grid."""
        x, size = self.patch_embed(x)
        x = x + self._positions(size)
        if self.with_cls_token:
            token = self.cls_token + self.pos_embed[:, : self.class_tokens]
            x = torch.cat([token.expand(x.shape[0], -1, -1), x], dim=1)
        if self.pre_norm_name is not None:
            x = self.get_submodule(self.pre_norm_name)(x)
        return x, size

    def _output(self, x: Tensor, size: Size) -> Tensor | tuple[Tensor, Tensor]:
        patches = to_map(x[:, self.class_tokens :] if self.with_cls_token else x, size)
        return (patches, x[:, 0]) if self.output_cls_token else patches

    def forward(self, x: Tensor) -> tuple[Tensor | tuple[Tensor, Tensor], ...]:
        """(N, in_channels, H, W) -> maps (N, embed_dims, h, w), or pairs of a map and a token (N, embed_dims)."""
        x, size = self._embed(x)
        outputs = [self._output(x, size)] if self.out_origin else []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == len(self.layers) - 1 and self.final_norm_name is not None:
                x = self.get_submodule(self.final_norm_name)(x)
            if i in self.out_indices:
                outputs.append(self._output(x, size))
        return tuple(outputs)
