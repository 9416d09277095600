"""PIDNet: three branches, for detail (P), context (I) and borders (D); the borders decide which of the others counts.

Source: PIDNet (arXiv:2206.02066); upstream ``mmseg/models/backbones/pidnet.py`` (Apache-2.0; the authors' code: MIT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.spec import SizeRule
from segship.models.layers.aggregation_pooling import DAPPM, PAPPM
from segship.models.layers.branch_blocks import BasicBlock, Bottleneck
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PIDNet"]

_BN: Cfg = {"type": "BN"}


class _PixelAttention(nn.Module):
    """Blends the context into the detail where the two agree (``PagFM``); plain batch normalisation, as upstream."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.f_i = ConvModule(in_channels, channels, 1, norm_cfg=_BN, act_cfg=None)
        self.f_p = ConvModule(in_channels, channels, 1, norm_cfg=_BN, act_cfg=None)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, h, w) -> (N, C, H, W)."""
        size = detail.shape[2:]
        agreement = self.f_p(detail) * resize(self.f_i(context), size)
        weight = agreement.sum(dim=1, keepdim=True).sigmoid()
        return weight * resize(context, size) + (1 - weight) * detail


class _BorderBlend(nn.Module):
    """Detail along the borders, context elsewhere, then a 3x3 convolution (``Bag``)."""

    def __init__(self, channels: int, norm_cfg: Cfg, act_cfg: Cfg) -> None:
        super().__init__()
        self.conv = ConvModule(
            channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=("norm", "act", "conv")
        )

    def forward(self, detail: Tensor, context: Tensor, border: Tensor) -> Tensor:
        """Three maps (N, C, H, W) -> one of the same shape."""
        weight = border.sigmoid()
        return self.conv(weight * detail + (1 - weight) * context)


class _LightBorderBlend(nn.Module):
    """The same with two 1x1 convolutions, one for each of two blends (``LightBag``)."""

    def __init__(self, channels: int, norm_cfg: Cfg) -> None:
        super().__init__()
        self.f_p = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.f_i = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, detail: Tensor, context: Tensor, border: Tensor) -> Tensor:
        """Three maps (N, C, H, W) -> one of the same shape."""
        weight = border.sigmoid()
        return self.f_p((1 - weight) * context + detail) + self.f_i(context + weight * detail)


@backbones.register
class PIDNet(nn.Module):
    """PIDNet (S, M and L); one map at 1/8.

    Two stem blocks make the light form (S, M), any other number the large one (L).

    Args:
        in_channels: Channels of the image.
        channels: Channels of the stem.
        ppm_channels: Channels of each scale of the pooling.
        num_stem_blocks: Blocks in the stem's and the detail branch's stages.
        num_branch_blocks: Blocks in the context branch's stages.
        align_corners: How maps are resized.
        norm_cfg, act_cfg: As `ConvModule`; inside the residual blocks always batch normalisation, as upstream.
    """

    sizes = SizeRule(multiple_of=8)

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 64,
        ppm_channels: int = 96,
        num_stem_blocks: int = 2,
        num_branch_blocks: int = 3,
        align_corners: bool = False,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        c, light = channels, num_stem_blocks == 2

        def conv(before: int, after: int, kernel: int = 3, stride: int = 1, act: Cfg | None = None) -> ConvModule:
            padding = kernel // 2
            return ConvModule(before, after, kernel, stride=stride, padding=padding, norm_cfg=norm_cfg, act_cfg=act)

        def block(before: int, after: int, stride: int = 1, act: Cfg | None = RELU) -> BasicBlock:
            shortcut = None if stride == 1 and before == after else conv(before, after, 1, stride)
            return BasicBlock(before, after, stride=stride, downsample=shortcut, act_cfg_out=act)

        def blocks(before: int, after: int, count: int, stride: int = 1) -> nn.Sequential:
            rest = [block(after, after, act=None if i == count - 1 else act_cfg) for i in range(1, count)]
            return nn.Sequential(block(before, after, stride), *rest)

        def bottlenecks(before: int, width: int, count: int = 1, stride: int = 1) -> nn.Sequential:
            shortcut = None if stride == 1 and before == 2 * width else conv(before, 2 * width, 1, stride)
            rest = [
                Bottleneck(2 * width, width, act_cfg_out=None if i == count - 1 else act_cfg) for i in range(1, count)
            ]
            return nn.Sequential(Bottleneck(before, width, stride=stride, downsample=shortcut), *rest)

        self.stem = nn.Sequential(
            conv(in_channels, c, stride=2, act=act_cfg),
            conv(c, c, stride=2, act=act_cfg),
            blocks(c, c, num_stem_blocks),
            nn.ReLU(),
            blocks(c, 2 * c, num_stem_blocks, stride=2),
            nn.ReLU(),
        )
        self.i_branch_layers = nn.ModuleList([
            blocks(2 * c, 4 * c, num_branch_blocks, stride=2),
            blocks(4 * c, 8 * c, num_branch_blocks, stride=2),
            bottlenecks(8 * c, 8 * c, 2, stride=2),
        ])  # fmt: skip
        self.p_branch_layers = nn.ModuleList(
            [blocks(2 * c, 2 * c, num_stem_blocks), blocks(2 * c, 2 * c, num_stem_blocks), bottlenecks(2 * c, 2 * c)]
        )
        border = c if light else 2 * c
        self.d_branch_layers = nn.ModuleList([
            block(2 * c, border, act=None),
            bottlenecks(c, c) if light else block(2 * c, 2 * c, act=None),
            bottlenecks(2 * c, 2 * c),
        ])  # fmt: skip
        self.compression_1, self.compression_2 = conv(4 * c, 2 * c, 1), conv(8 * c, 2 * c, 1)
        self.pag_1, self.pag_2 = _PixelAttention(2 * c, c), _PixelAttention(2 * c, c)
        self.diff_1, self.diff_2 = conv(4 * c, border), conv(8 * c, 2 * c)
        self.spp = (PAPPM if light else DAPPM)(16 * c, ppm_channels, 4 * c)
        self.dfm = _LightBorderBlend(4 * c, norm_cfg) if light else _BorderBlend(4 * c, norm_cfg, act_cfg)

    def _stage(self, index: int, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """One stage of the three branches (I, P, D), which ends in what I adds to the others."""
        compress, attend, differ = (
            (self.compression_1, self.pag_1, self.diff_1),
            (self.compression_2, self.pag_2, self.diff_2),
        )[index]
        context = self.i_branch_layers[index](maps[0]).relu()
        detail = attend(self.p_branch_layers[index](maps[1]), compress(context)).relu()
        border = self.d_branch_layers[index](maps[2])
        border = border + resize(differ(context), border.shape[2:], align_corners=self.align_corners)
        return context, detail, border.relu()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(N, in_channels, H, W) -> one map (N, 4 * channels, H / 8, W / 8)."""
        stem = self.stem(x)
        maps = self._stage(1, self._stage(0, (stem, stem, stem)))
        context, detail, border = (
            branch[2](y)
            for branch, y in zip((self.i_branch_layers, self.p_branch_layers, self.d_branch_layers), maps, strict=True)
        )
        context = resize(self.spp(context), detail.shape[2:], align_corners=self.align_corners)
        return (self.dfm(detail, context, border),)
