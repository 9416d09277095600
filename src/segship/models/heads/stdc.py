"""The head with which STDC learns borders.

Source: Rethinking BiSeNet (arXiv:2104.13188); upstream ``mmseg/models/decode_heads/stdc_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.heads.fcn import FCNHead
from segship.models.layers.conv import RELU, Cfg
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.models.layers.decode_head import InputTransform

__all__ = ["STDCHead"]


@heads.register
class STDCHead(FCNHead):
    """`FCNHead` that also keeps the two constant kernels of training's border targets, for their keys.

    Args:
        boundary_threshold: Of no effect at inference.
        in_channels, channels, num_classes, num_convs, kernel_size, concat_input, dilation: As `FCNHead`.
        out_channels, threshold, in_index, input_transform, align_corners: As `FCNHead`.
        conv_cfg, norm_cfg, act_cfg: As `FCNHead`.
    """

    laplacian_kernel: torch.Tensor

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        boundary_threshold: float = 0.1,
        num_convs: int = 2,
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
            num_convs=num_convs,
            kernel_size=kernel_size,
            concat_input=concat_input,
            dilation=dilation,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            input_transform=input_transform,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        laplacian = torch.full((1, 1, 3, 3), -1.0)
        laplacian[:, :, 1, 1] = 8.0
        self.register_buffer("laplacian_kernel", laplacian)
        self.fusion_kernel = nn.Parameter(torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1, 1), requires_grad=False)
