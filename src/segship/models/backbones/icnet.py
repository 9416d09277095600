"""ICNet: the full image sees three convolutions, half of it half a ResNet, a quarter of it the rest.

Source: ICNet (arXiv:1704.08545); upstream ``mmseg/models/backbones/icnet.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.pyramid_pooling import PyramidPooling
from segship.models.parts import build_part
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ICNet"]

_BN: Cfg = {"type": "BN"}


@backbones.register
class ICNet(nn.Module):
    """ICNet; its maps are at 1/8 (full image), 1/16 (half) and 1/32 (quarter).

    Args:
        backbone_cfg: A ResNet with a deep stem (``ResNetV1c``, ``ResNetV1d``).
        in_channels: Channels of the image.
        layer_channels: Channels of the backbone's second and fourth stage.
        light_branch_middle_channels: Channels inside the full image's branch.
        psp_out_channels: Channels of each branch of the pyramid pooling, and of what follows it.
        out_channels: Channels of the three maps.
        pool_scales: Bins of the pyramid pooling.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`; ``act_cfg`` is the pyramid pooling's, the others have a ReLU.
        align_corners: How maps are resized.

    Raises:
        ConfigError: The backbone has no deep stem or not four stages.
    """

    def __init__(
        self,
        backbone_cfg: Cfg,
        in_channels: int = 3,
        layer_channels: Sequence[int] = (512, 2048),
        light_branch_middle_channels: int = 32,
        psp_out_channels: int = 512,
        out_channels: Sequence[int] = (64, 256, 256),
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = _BN,
        act_cfg: Cfg | None = RELU,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.backbone = build_part(backbones, backbone_cfg)
        for part in ("stem", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            if not isinstance(getattr(self.backbone, part, None), nn.Module):
                raise ConfigError(f"ICNet needs a ResNet with a deep stem and four stages; its backbone has no {part}")

        def conv(before: int, after: int, kernel: int, stride: int = 1) -> ConvModule:
            return ConvModule(
                before, after, kernel, stride=stride, padding=kernel // 2, conv_cfg=conv_cfg, norm_cfg=norm_cfg
            )

        middle, deep = layer_channels
        light = light_branch_middle_channels
        self.psp_modules = PyramidPooling(
            pool_scales,
            deep,
            psp_out_channels,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.psp_bottleneck = ConvModule(
            deep + len(pool_scales) * psp_out_channels,
            psp_out_channels,
            3,
            padding=1,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.conv_sub1 = nn.Sequential(
            conv(in_channels, light, 3, 2), conv(light, light, 3, 2), conv(light, out_channels[0], 3, 2)
        )
        self.conv_sub2 = conv(middle, out_channels[1], 1)
        self.conv_sub4 = conv(psp_out_channels, out_channels[2], 1)

    def _halve(self, x: Tensor) -> Tensor:
        """Bilinear resize by 1/2, sides rounded down."""
        if self.align_corners:
            return resize(x, [side // 2 for side in x.shape[2:]], align_corners=True)
        # Each new point lies in the middle of four old ones. A resize to the halved size would not say the same where
        # a side is odd: its step would be more than 2.
        return F.avg_pool2d(x, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, in_channels, H, W) -> the maps of the full image, the half and the quarter."""
        run = self.backbone.get_submodule
        half = run("stem")(self._halve(x))
        # Upstream's max pool rounds sides up. Behind a ReLU, a margin of zeros makes the plain one do the same.
        half = run("maxpool")(F.pad(half, (0, 1, 0, 1)))
        half = run("layer2")(run("layer1")(half))
        quarter = run("layer4")(run("layer3")(self._halve(half)))
        quarter = self.psp_bottleneck(torch.cat([*self.psp_modules(quarter), quarter], dim=1))
        return self.conv_sub1(x), self.conv_sub2(half), self.conv_sub4(quarter)
