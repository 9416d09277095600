"""ERFNet: residual blocks of 3x1 and 1x3 convolutions, dilated in the deepest part, and transposed convolutions back.

Source: ERFNet (Romera et al., IEEE Transactions on Intelligent Transportation Systems 2018); upstream
``mmseg/models/backbones/erfnet.py`` (Apache-2.0).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.core.spec import SizeRule
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["ERFNet"]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Down(nn.Module):
    """A convolution of stride 2 and a max pool side by side."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.bn = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2), rounded up."""
        y = self.conv(x)
        # The pool rounds odd sizes down, the convolution up; upstream stretches the former.
        pooled = resize(self.pool(x), y.shape[2:])
        return self.bn(torch.cat([y, pooled], dim=1)).relu()


class _Factorised(nn.Module):
    """Two pairs of 3x1 and 1x3 convolutions with a shortcut; the second pair may be dilated."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()

        def pair(d: int) -> list[nn.Module]:
            tall = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
            wide = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
            return [tall, nn.ReLU(), wide, _norm(channels)]

        self.convs_layers = nn.ModuleList([*pair(1), nn.ReLU(), *pair(dilation)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        y = x
        for layer in self.convs_layers:
            y = layer(y)
        return (x + y).relu()


class _Up(nn.Module):
    """A transposed convolution that doubles the map."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
        self.bn = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, 2 H, 2 W)."""
        return self.bn(self.conv(x)).relu()


@backbones.register
class ERFNet(nn.Module):
    """ERFNet; one map at 1/2.

    Args:
        in_channels: Channels of the image.
        enc_downsample_channels: Channels after each halving.
        enc_stage_non_bottlenecks: Residual blocks after each halving but the first.
        enc_non_bottleneck_dilations: Dilations of the last of these stages, repeated until its blocks are used up.
        enc_non_bottleneck_channels, dec_upsample_channels: Of no effect but for their length, as upstream.
        dec_stages_non_bottleneck: Residual blocks after each doubling.
        dec_non_bottleneck_channels: Channels after each doubling.
        conv_cfg, norm_cfg, act_cfg: Of no effect, as upstream: plain convolutions, batch normalisation with
            ``eps=1e-3`` and ReLU.

    Raises:
        ConfigError: Lengths contradict each other, or the dilations do not divide the last stage's blocks.
    """

    def __init__(
        self,
        in_channels: int = 3,
        enc_downsample_channels: Sequence[int] = (16, 64, 128),
        enc_stage_non_bottlenecks: Sequence[int] = (5, 8),
        enc_non_bottleneck_dilations: Sequence[int] = (2, 4, 8, 16),
        enc_non_bottleneck_channels: Sequence[int] = (64, 128),
        dec_upsample_channels: Sequence[int] = (64, 16),
        dec_stages_non_bottleneck: Sequence[int] = (2, 2),
        dec_non_bottleneck_channels: Sequence[int] = (64, 16),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        steps = {
            "enc_stage_non_bottlenecks": enc_stage_non_bottlenecks,
            "enc_non_bottleneck_channels": enc_non_bottleneck_channels,
            "dec_upsample_channels": dec_upsample_channels,
            "dec_stages_non_bottleneck": dec_stages_non_bottleneck,
            "dec_non_bottleneck_channels": dec_non_bottleneck_channels,
        }
        for name, values in steps.items():
            if len(values) != len(enc_downsample_channels) - 1:
                raise ConfigError(
                    f"ERFNet's {name} needs one entry less than enc_downsample_channels, "
                    f"{len(enc_downsample_channels) - 1}, not {len(values)}"
                )
        repeats, rest = divmod(enc_stage_non_bottlenecks[-1], len(enc_non_bottleneck_dilations))
        if rest:
            raise ConfigError(
                f"ERFNet's last encoder stage has {enc_stage_non_bottlenecks[-1]} blocks, which must be a multiple of "
                f"its {len(enc_non_bottleneck_dilations)} dilations"
            )
        least = 2 ** (len(enc_downsample_channels) - 1) + 1
        self.sizes = SizeRule(minimum=(least, least))  # below it the last step down has a single row to pool
        dilations = [(1,) * count for count in enc_stage_non_bottlenecks[:-1]]
        dilations.append(tuple(enc_non_bottleneck_dilations) * repeats)
        self.encoder = nn.ModuleList([_Down(in_channels, enc_downsample_channels[0])])
        for (before, after), stage in zip(pairwise(enc_downsample_channels), dilations, strict=True):
            self.encoder.extend([_Down(before, after), *(_Factorised(after, dilation) for dilation in stage)])
        self.decoder = nn.ModuleList()
        widths = pairwise([enc_downsample_channels[-1], *dec_non_bottleneck_channels])
        for (before, after), count in zip(widths, dec_stages_non_bottleneck, strict=True):
            self.decoder.extend([_Up(before, after), *(_Factorised(after) for _ in range(count))])

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(N, in_channels, H, W) -> one map; H / 8 rounded up, times 4, and W likewise."""
        for block in [*self.encoder, *self.decoder]:
            x = block(x)
        return (x,)
