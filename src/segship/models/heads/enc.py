"""EncNet's head: channels weighted by how the map differs from learned code words.

Source: EncNet (arXiv:1803.08904); upstream ``mmseg/models/decode_heads/enc_head.py`` and
``mmseg/models/utils/encoding.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["EncHead", "Encoding"]


class Encoding(nn.Module):
    """The residual of each pixel and code word, summed over the pixels that resemble the word.

    Args:
        channels: Channels of the map.
        num_codes: Number of code words.
    """

    def __init__(self, channels: int, num_codes: int) -> None:
        super().__init__()
        self.codewords = nn.Parameter(torch.empty(num_codes, channels))
        self.scale = nn.Parameter(torch.empty(num_codes))
        bound = (num_codes * channels) ** -0.5
        nn.init.uniform_(self.codewords, -bound, bound)
        nn.init.uniform_(self.scale, -1, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, num_codes, channels)."""
        pixels = x.flatten(2)
        # |x - c|^2 = |x|^2 - 2 x.c + |c|^2: a product of matrices, where upstream holds every difference in memory.
        lengths = pixels.square().sum(1, keepdim=True) + self.codewords.square().sum(1)[:, None]
        distances = lengths - 2 * torch.matmul(self.codewords, pixels)
        weights = (self.scale[:, None] * distances).softmax(1)
        return torch.matmul(weights, pixels.transpose(1, 2)) - weights.sum(2, keepdim=True) * self.codewords


def _code_norm(norm_cfg: Cfg | None, num_codes: int) -> nn.Module:
    """Normalisation over (N, num_codes, channels), of the kind the convolutions have; batch normalisation if none."""
    if norm_cfg is not None and norm_cfg["type"] in {"IN", "IN2d"}:  # the codes are the channels, over one dimension
        return nn.InstanceNorm1d(num_codes, eps=norm_cfg.get("eps", 1e-5), affine=norm_cfg.get("affine", False))
    if norm_cfg is not None and norm_cfg["type"] not in {"BN", "BN2d", "SyncBN"}:
        return build_norm(norm_cfg, num_codes)[1]
    return nn.BatchNorm1d(num_codes, eps=1e-5 if norm_cfg is None else norm_cfg.get("eps", 1e-5))


class _EncModule(nn.Module):
    """The map, and the map times a weight for each channel that follows from its encoding."""

    def __init__(
        self, channels: int, num_codes: int, *, conv_cfg: Cfg | None, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__()
        self.encoding_project = ConvModule(channels, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.encoding = nn.Sequential(Encoding(channels, num_codes), _code_norm(norm_cfg, num_codes), nn.ReLU())
        self.fc = nn.Sequential(nn.Linear(channels, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), the same shape out."""
        weights = self.fc(self.encoding(self.encoding_project(x)).mean(1))
        return (x + x * weights[:, :, None, None]).relu()


@heads.register
class EncHead(DecodeHead):
    """Context encoding.

    Args:
        num_codes: Number of code words.
        use_se_loss: Whether the network was trained to name the classes present as well; the layer is kept for its
            weights, never run.
        add_lateral: Whether the other maps are joined with the last one.
        in_channels, in_index: Of the maps; the head works at the last one's size.
        channels, num_classes, out_channels, threshold, align_corners: As `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        in_index: Sequence[int],
        num_codes: int = 32,
        use_se_loss: bool = True,
        add_lateral: bool = False,
        out_channels: int | None = None,
        threshold: float | None = None,
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
            input_transform="multiple_select",
            align_corners=align_corners,
        )

        def conv(width: int, kernel_size: int) -> ConvModule:
            return ConvModule(
                width,
                channels,
                kernel_size,
                padding=kernel_size // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        self.bottleneck = conv(in_channels[-1], 3)
        self.add_lateral = add_lateral
        if add_lateral:
            self.lateral_convs = nn.ModuleList([conv(width, 1) for width in in_channels[:-1]])
            self.fusion = conv(len(in_channels) * channels, 3)
        self.enc_module = _EncModule(channels, num_codes, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        if use_se_loss:
            self.se_layer = nn.Linear(channels, num_classes)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w) of the last selected map's size."""
        *others, last = self.select_many(features)
        x = self.bottleneck(last)
        if self.add_lateral:
            laterals = [conv(y) for conv, y in zip(self.lateral_convs, others, strict=True)]
            size, corners = x.shape[2:], self.align_corners
            x = self.fusion(torch.cat([x, *[resize(y, size, align_corners=corners) for y in laterals]], dim=1))
        return self.classify(self.enc_module(x))
