"""Side Adapter Network's head: a small transformer beside CLIP proposes masks, CLIP's last layers name them.

Source: Side Adapter Network for Open-Vocabulary Semantic Segmentation (arXiv:2302.12242); upstream
``mmseg/models/decode_heads/san_head.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.adaptive_max import adaptive_max_pool2d
from segship.models.layers.clip import ClipLayer
from segship.models.layers.conv import ConvModule, build_norm
from segship.models.layers.nested import build_nested
from segship.models.layers.patch_embed import PatchEmbed
from segship.models.layers.positions import resized_positions
from segship.models.layers.tokens import norm_map, to_map, to_tokens
from segship.models.layers.transformer import GELU, LAYER_NORM, TransformerEncoderLayer
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["SideAdapterCLIPHead"]

_IMAGE = 640
"""Side of the image that the position embedding was made for; upstream has no option for it."""
_APART = -100.0
"""What upstream adds to the scores of tokens that shall not see each other."""
_EPS = 1e-6


class _Perceptron(nn.Module):
    """Linear layers, or 1x1 convolutions, from each width to the next, with ReLU between them."""

    def __init__(self, widths: Sequence[int], *, of_maps: bool = False) -> None:
        super().__init__()
        steps = itertools.pairwise(widths)
        layers = [nn.Conv2d(a, b, 1) if of_maps else nn.Linear(a, b) for a, b in steps]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        found: Tensor = last(x)
        return found


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
        self.groups = (num_layers, num_heads)
        hidden = [embed_dims] + [mlp_channels] * (num_mlp - 1)
        self.query_mlp = _Perceptron([*hidden, embed_channels])
        self.pix_mlp = _Perceptron([*hidden, embed_channels], of_maps=True)
        self.attn_mlp = _Perceptron([*hidden, embed_channels * num_heads * num_layers], of_maps=True)
        self.bias_scaling = nn.Linear(1, 1) if rescale else nn.Identity()

    def forward(self, queries: Tensor, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Queries (N, Q, C) and a map (N, C, h, w) -> masks (N, Q, h, w), and a bias (N, heads, Q, h, w) a layer."""
        size = (x.shape[2], x.shape[3])
        queries = self.query_mlp(queries)
        masks = torch.unflatten(queries @ self.pix_mlp(x).flatten(2), 2, size)
        layers, count = self.groups
        features = torch.unflatten(self.attn_mlp(x).flatten(2), 1, (layers * count, queries.shape[2]))
        biases = queries[:, None] @ features
        if isinstance(self.bias_scaling, nn.Linear):
            biases = biases * self.bias_scaling.weight[0, 0] + self.bias_scaling.bias[0]
        return masks, [torch.unflatten(part, 3, size) for part in torch.split(biases, count, 1)]


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
        self.patch, self.queries, self.fusion = patch_size, num_queries, tuple(fusion_index)
        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, padding=0, bias=patch_bias)
        self.pos_embed = nn.Parameter(torch.zeros(1, (_IMAGE // patch_size) ** 2, embed_dims))
        self.query_pos_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.query_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.encode_layers = build_nested(_side_layers, cfg_encoder, embed_dims=embed_dims, norm_cfg=norm_cfg)
        self.conv_clips = nn.ModuleList(
            [
                nn.Sequential(nn.LayerNorm(clip_channels, _EPS), ConvModule(clip_channels, embed_dims, 1, act_cfg=None))
                for _ in fusion_index
            ]
        )
        self.mask_decoder = build_nested(_MaskDecoder, cfg_decoder, embed_dims=embed_dims)

    def _fused(self, x: Tensor, index: int, feature: Tensor, size: Size) -> Tensor:
        """Tokens, to whose patches CLIP's map (N, C, h, w) of a layer is added."""
        fitted: nn.Sequential = self.conv_clips[index]  # type: ignore[assignment]
        added = to_tokens(resize(fitted[1](norm_map(fitted[0], feature)), size))
        return torch.cat((x[:, : self.queries], x[:, self.queries :] + added), 1)

    def forward(self, image: Tensor, features: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
        """Masks (N, Q, h, w), and biases of attention (N, heads, Q, h, w)."""
        x, size = self.patch_embed(image)
        grid = (_IMAGE // self.patch, _IMAGE // self.patch)
        positions = torch.cat((self.query_pos_embed, resized_positions(self.pos_embed, grid, size, "bicubic")), 1)
        x = torch.cat((self.query_embed.expand(x.shape[0], -1, -1), x), 1) + positions
        at = 0
        if self.fusion[at] == 0:
            x, at = self._fused(x, at, features[at][0], size), at + 1
        for number, layer in enumerate(self.encode_layers, 1):
            x = layer(x)
            if number < len(self.fusion) and number == self.fusion[at]:
                x, at = self._fused(x, at, features[at][0], size), at + 1
            if number < len(self.encode_layers):
                x = x + positions
        found: tuple[Tensor, list[Tensor]] = self.mask_decoder(x[:, : self.queries], to_map(x[:, self.queries :], size))
        return found


class _MaskRecognition(nn.Module):
    """CLIP's last layers, which give each mask an embedding."""

    def __init__(
        self,
        *,
        sos_token_format: str = "cls_token",  # noqa: S107  (no password)
        sos_token_num: int = 100,
        num_layers: int = 3,
        cross_attn: bool = False,
        embed_dims: int = 768,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        num_fcs: int = 2,  # upstream does not pass it on
        qkv_bias: bool = True,
        out_dims: int = 512,
        final_norm: bool = True,
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        if sos_token_format != "cls_token":  # noqa: S105
            raise UnsupportedError(
                f"SAN runs with sos_token_format 'cls_token' only, upstream too; the config has {sos_token_format!r}"
            )
        if cross_attn:
            raise UnsupportedError("SAN with cross_attn=True is not provided: no config of MMSegmentation's has it")
        self.count, self.heads, self.final_norm = sos_token_num, num_heads, final_norm
        self.layers = nn.ModuleList(
            [
                ClipLayer(embed_dims, num_heads, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias, act_cfg=act_cfg)
                for _ in range(num_layers)
            ]
        )
        self.ln_post = build_norm(norm_cfg, embed_dims)[1]
        self.proj = nn.Linear(embed_dims, out_dims, bias=False)

    def _mask(self, bias: Tensor, size: Size, widest: int) -> Tensor:
        """What is added to attention: a mask's token sees itself and, by its bias, the patches; no other sees it."""
        batch, count = bias.shape[0], self.count
        pooled = adaptive_max_pool2d(bias.flatten(1, 2), size, widest=widest)
        pooled = torch.unflatten(pooled.flatten(2), 1, (bias.shape[1], count)).expand(-1, self.heads, -1, -1)
        alone = torch.full((count, count + 1), _APART, dtype=bias.dtype, device=bias.device)
        alone = alone * (1 - torch.eye(count, count + 1, dtype=bias.dtype, device=bias.device))
        above = torch.cat((alone.expand(batch, self.heads, -1, -1), pooled), 3)
        apart = torch.full((count,), _APART, dtype=bias.dtype, device=bias.device)
        below = F.pad(apart, (0, 1 + size[0] * size[1]))[None, None, None]
        return torch.cat((above, below.expand(batch, self.heads, 1 + size[0] * size[1], -1)), 2)

    def forward(self, biases: Sequence[Tensor], feature: tuple[Tensor, Tensor], *, widest: int) -> Tensor:
        """Biases of attention and CLIP's map and class token -> an embedding of each mask (N, Q, out_dims)."""
        patches, token = feature
        size = (patches.shape[2], patches.shape[3])
        first = token[:, None]
        x = torch.cat((first.expand(-1, self.count, -1), first, to_tokens(patches)), 1)
        masks = [self._mask(bias, size, widest) for bias in biases]
        for number, layer in enumerate(self.layers):
            x = layer(x, masks[0 if len(masks) == 1 else number])
        found: Tensor = self.proj(self.ln_post(x[:, : self.count]))
        return F.normalize(found, dim=-1) if self.final_norm else found


@heads.register
class SideAdapterCLIPHead(nn.Module):
    """SAN's head; what it returns are sums of products of probabilities, at the image's size.

    Args:
        num_classes: Number of classes the head was trained with.
        san_cfg: The side network: ``embed_dims``, ``num_queries``, ``cfg_encoder``, ``cfg_decoder`` and so on.
        maskgen_cfg: CLIP's last layers: ``embed_dims``, ``num_layers``, ``out_dims`` and so on.
        deep_supervision_idxs: Layers that only training reads; without effect here.
        align_corners: How logits would be resized.

    Raises:
        ConfigError: The numbers of masks, of heads or of layers do not fit together.
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
        side, named = self.side_adapter_network, self.rec_with_attnbias
        layers, count = side.mask_decoder.groups
        if side.queries != named.count:
            raise ConfigError(
                f"SAN proposes {side.queries} masks (num_queries), but names {named.count} (sos_token_num)"
            )
        if count not in {1, named.heads} or layers not in {1, len(named.layers)}:
            raise ConfigError(
                f"SAN makes biases for {count} heads of {layers} layers, but names masks by {named.heads} heads of "
                f"{len(named.layers)} layers"
            )

    def forward(
        self, image: Tensor, features: Sequence[tuple[Tensor, Tensor]], classifier: Tensor, *, widest: int
    ) -> Tensor:
        """Scores of each class.

        Args:
            image: (N, 3, H, W).
            features: Maps (N, C, h, w) of CLIP's first layers, each with its class token (N, C).
            classifier: Embeddings of the classes, that of the background last: (classes + 1, out_dims).
            widest: Cells that the widest window of a bias has, which is pooled to CLIP's map.

        Returns:
            (N, classes, H, W).
        """
        masks, biases = self.side_adapter_network(image, features)
        embeddings = self.rec_with_attnbias(biases, features[-1], widest=widest)
        classes = (embeddings @ classifier.transpose(0, 1)).softmax(-1)[..., :-1]
        size = (image.shape[2], image.shape[3])
        # Spelt out: engines cut a sigmoid off near 1e-8, and where no mask is on, smaller ones decide the label.
        probabilities = 1 / (1 + resize(-masks, size).exp())
        return torch.unflatten(classes.transpose(1, 2) @ probabilities.flatten(2), 2, size)
