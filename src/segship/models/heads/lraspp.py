"""LR-ASPP: a light head that scales the deep map by its own coarse averages.

Source: Searching for MobileNetV3 (arXiv:1905.02244); upstream ``mmseg/models/decode_heads/lraspp_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.core.spec import SizeRule
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["LRASPPHead"]

_WINDOW, _STEP = 49, (16, 20)
_STRIDE = 8  # of the deep map, in MobileNetV3 for segmentation


@heads.register
class LRASPPHead(DecodeHead):
    """The deep map times its pooled gate, joined with earlier maps on the way up, then the classifier.

    Args:
        in_channels: Channels of the maps, fine to deep.
        branch_channels: Channels that each map but the deep one is projected to.
        channels, num_classes, out_channels, threshold, in_index, align_corners: As `DecodeHead`.
        input_transform: ``"multiple_select"``, the only one this head can work with.
        norm_cfg, act_cfg: As `ConvModule`.

    Attributes:
        sizes: The pooling window is 49x49 cells of the deep map, so smaller images cannot be taken.

    Raises:
        ConfigError: There is not one number in ``branch_channels`` for each earlier map, or another transform.
    """

    sizes = SizeRule(minimum=((_WINDOW - 1) * _STRIDE + 1, (_WINDOW - 1) * _STRIDE + 1))

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        branch_channels: Sequence[int] = (32, 64),
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = "multiple_select",
        align_corners: bool = False,
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
        if input_transform != "multiple_select":
            raise ConfigError(f"LRASPPHead needs input_transform='multiple_select', not {input_transform!r}")
        if len(branch_channels) != len(in_channels) - 1:
            raise ConfigError(f"branch_channels {branch_channels} must be one fewer than in_channels {in_channels}")

        def conv(width: int, norm: Cfg | None, act: Cfg | None) -> ConvModule:
            return ConvModule(width, channels, 1, bias=False, norm_cfg=norm, act_cfg=act)

        pairs = list(enumerate(zip(in_channels, branch_channels, strict=False)))
        self.convs = nn.Sequential(
            OrderedDict((f"conv{i}", nn.Conv2d(width, branch, 1, bias=False)) for i, (width, branch) in pairs)
        )
        self.conv_ups = nn.Sequential(
            OrderedDict((f"conv_up{i}", conv(channels + branch, norm_cfg, act_cfg)) for i, (_, branch) in pairs)
        )
        self.conv_up_input = nn.Conv2d(channels, channels, 1)
        self.aspp_conv = conv(in_channels[-1], norm_cfg, act_cfg)
        gate = conv(in_channels[-1], None, {"type": "Sigmoid"})
        self.image_pool = nn.Sequential(nn.AvgPool2d(_WINDOW, stride=_STEP), gate)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        *earlier, x = self.select_many(features)
        gate = resize(self.image_pool(x), x.shape[2:], align_corners=self.align_corners)
        x = self.conv_up_input(self.aspp_conv(x) * gate)
        for fine, project, join in reversed(list(zip(earlier, self.convs, self.conv_ups, strict=True))):
            x = resize(x, fine.shape[2:], align_corners=self.align_corners)
            x = join(torch.cat([x, project(fine)], dim=1))
        return self.classify(x)
