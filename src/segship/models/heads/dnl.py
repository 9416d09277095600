"""Disentangled non-local head.

Source: Disentangled Non-Local Neural Networks (arXiv:2006.06668); upstream ``mmseg/models/decode_heads/dnl_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.heads.fcn import FCNHead
from segship.models.layers.conv import RELU, Cfg
from segship.models.layers.map_attention import as_map
from segship.models.layers.non_local import NonLocal2d, NonLocalMode
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features, InputTransform

__all__ = ["DNLHead", "DisentangledNonLocal2d"]


class DisentangledNonLocal2d(NonLocal2d):
    """A non-local block whose weights are the sum of a pairwise term, on whitened cells, and a unary one.

    Args:
        in_channels, reduction, use_scale, mode, conv_cfg, norm_cfg: As `NonLocal2d`.
        temperature: Divisor of the products of ``"embedded_gaussian"``.

    Raises:
        UnsupportedError: The mode is ``"gaussian"``, or unknown.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        temperature: float,
        reduction: int = 2,
        use_scale: bool = True,
        mode: NonLocalMode = "embedded_gaussian",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
    ) -> None:
        if mode == "gaussian":
            raise UnsupportedError("a disentangled non-local block has no mode 'gaussian': use 'embedded_gaussian'")
        super().__init__(
            in_channels, reduction=reduction, use_scale=use_scale, mode=mode, conv_cfg=conv_cfg, norm_cfg=norm_cfg
        )
        if mode == "embedded_gaussian":
            self.scale /= temperature
        self.conv_mask = nn.Conv2d(in_channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        query, key = (y - y.mean(2, keepdim=True) for y in self.project(x))
        value = self.g(x).flatten(2)
        unary = self.conv_mask(x).flatten(2).softmax(2)
        y = self.gather(query, key, value) + value @ unary.transpose(1, 2)
        return x + self.conv_out(as_map(y, x))


@heads.register
class DNLHead(FCNHead):
    """A disentangled non-local block between two convolutions.

    Args:
        reduction, use_scale, mode: As `NonLocal2d`.
        temperature: As `DisentangledNonLocal2d`.
        kernel_size, concat_input, dilation: As `FCNHead`.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        reduction: int = 2,
        use_scale: bool = True,
        mode: NonLocalMode = "embedded_gaussian",
        temperature: float = 0.05,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
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
            num_convs=2,
            kernel_size=kernel_size,
            concat_input=concat_input,
            dilation=dilation,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.dnl_block = DisentangledNonLocal2d(
            channels,
            temperature=temperature,
            reduction=reduction,
            use_scale=use_scale,
            mode=mode,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
        )

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.convs[1](self.dnl_block(self.convs[0](x)))
        return self.classify(y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1)))
