"""DDRNet: a branch that keeps 1/8 of the resolution beside one that goes down to 1/64, joined twice on the way.

Source: DDRNet (arXiv:2101.06085); upstream ``mmseg/models/backbones/ddrnet.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.spec import SizeRule
from segship.models.layers.aggregation_pooling import DAPPM
from segship.models.layers.branch_blocks import BasicBlock, Bottleneck
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DDRNet"]

_BN: Cfg = {"type": "BN"}


@backbones.register
class DDRNet(nn.Module):
    """DDRNet (23 and 23-slim); one map at 1/8.

    Args:
        in_channels: Channels of the image.
        channels: Channels of the stem.
        ppm_channels: Channels of each scale of the pooling.
        align_corners: How maps are resized.
        norm_cfg, act_cfg: As `ConvModule`.
    """

    sizes = SizeRule(multiple_of=8)

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 32,
        ppm_channels: int = 128,
        align_corners: bool = False,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners

        def conv(before: int, after: int, kernel: int = 3, act: Cfg | None = None) -> ConvModule:
            stride, padding = (2, 1) if kernel == 3 else (1, 0)
            return ConvModule(before, after, kernel, stride=stride, padding=padding, norm_cfg=norm_cfg, act_cfg=act)

        def blocks(before: int, after: int, count: int = 2, stride: int = 1) -> nn.Sequential:
            return _blocks(before, after, count=count, stride=stride, norm_cfg=norm_cfg, act_cfg=act_cfg)

        def bottleneck(before: int, width: int, stride: int = 1) -> nn.Sequential:
            shortcut = _shortcut(before, 2 * width, stride, norm_cfg)
            return nn.Sequential(Bottleneck(before, width, stride=stride, downsample=shortcut))

        c = channels
        self.stem = nn.Sequential(
            conv(in_channels, c, act=act_cfg),
            conv(c, c, act=act_cfg),
            blocks(c, c),
            nn.ReLU(),
            blocks(c, 2 * c, stride=2),
            nn.ReLU(),
        )
        self.context_branch_layers = nn.ModuleList(
            [blocks(2 * c, 4 * c, stride=2), blocks(4 * c, 8 * c, stride=2), bottleneck(8 * c, 8 * c, stride=2)]
        )
        self.spatial_branch_layers = nn.ModuleList(
            [blocks(2 * c, 2 * c), blocks(2 * c, 2 * c), bottleneck(2 * c, 2 * c)]
        )
        self.compression_1 = conv(4 * c, 2 * c, 1)
        self.compression_2 = conv(8 * c, 2 * c, 1)
        self.down_1 = conv(2 * c, 4 * c)
        self.down_2 = nn.Sequential(conv(2 * c, 4 * c, act=act_cfg), conv(4 * c, 8 * c))
        self.spp = DAPPM(16 * c, ppm_channels, 4 * c)

    def _stage(self, index: int, context: Tensor, spatial: Tensor) -> tuple[Tensor, Tensor]:
        """One stage of both branches, each ending in what the other one adds to it."""
        compress, down = ((self.compression_1, self.down_1), (self.compression_2, self.down_2))[index]
        deep = self.context_branch_layers[index](context)
        fine = self.spatial_branch_layers[index](spatial)
        up = resize(compress(deep.relu()), fine.shape[2:], align_corners=self.align_corners)
        return (deep + down(fine.relu())).relu(), (fine + up).relu()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(N, in_channels, H, W) -> one map (N, 4 * channels, H / 8, W / 8)."""
        context = spatial = self.stem(x)
        for index in range(2):
            context, spatial = self._stage(index, context, spatial)
        fine = self.spatial_branch_layers[2](spatial)
        deep = self.spp(self.context_branch_layers[2](context))
        return (fine + resize(deep, fine.shape[2:], align_corners=self.align_corners),)


def _shortcut(before: int, after: int, stride: int, norm_cfg: Cfg) -> nn.Sequential | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), build_norm(norm_cfg, after)[1])


def _blocks(before: int, after: int, *, count: int, stride: int, norm_cfg: Cfg, act_cfg: Cfg) -> nn.Sequential:
    """A row of basic blocks; the last one's sum has no activation.

    The first block has plain batch normalisation and ReLU whatever the config says, as upstream.
    """
    first = BasicBlock(before, after, stride=stride, downsample=_shortcut(before, after, stride, norm_cfg))
    rest = [
        BasicBlock(after, after, norm_cfg=norm_cfg, act_cfg_out=None if i == count - 1 else act_cfg)
        for i in range(1, count)
    ]
    return nn.Sequential(first, *rest)
