"""UNet: an encoder, and a decoder that joins each of its maps with the encoder's map of the same size.

Source: U-Net (arXiv:1505.04597); upstream ``mmseg/models/backbones/unet.py`` and
``mmseg/models/utils/up_conv_block.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import SizeRule
from segship.models.layers.activation import build_activation
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["UNet"]

_BN: Cfg = {"type": "BN"}
_INTERPOLATE: Cfg = {"type": "InterpConv"}


class _Enlarge(nn.Module):
    """Interpolation by a whole factor, without parameters."""

    def __init__(self, scale_factor: float = 2, mode: str = "bilinear", align_corners: bool | None = False) -> None:
        super().__init__()
        if scale_factor != int(scale_factor):
            raise UnsupportedError(f"UNet's decoder enlarges by a whole number, not {scale_factor}")
        self.scale_factor, self.mode, self.align_corners = int(scale_factor), mode, bool(align_corners)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H * scale_factor, W * scale_factor)."""
        size = [side * self.scale_factor for side in x.shape[2:]]
        return resize(x, size, self.mode, align_corners=self.align_corners)  # type: ignore[arg-type]


class _InterpConv(nn.Module):
    """Interpolation and a convolution, in either order."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm_cfg: Cfg,
        act_cfg: Cfg,
        conv_cfg: Cfg | None = None,
        conv_first: bool = False,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        upsample_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        conv = ConvModule(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        # None at all means bilinear, a mapping that names no mode means nearest.
        enlarge = _Enlarge() if upsample_cfg is None else _Enlarge(**{"mode": "nearest", **upsample_cfg})
        self.interp_upsample = nn.Sequential(conv, enlarge) if conv_first else nn.Sequential(enlarge, conv)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, 2 H, 2 W)."""
        return self.interp_upsample(x)


class _Deconv(nn.Module):
    """Transposed convolution, normalisation and activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm_cfg: Cfg,
        act_cfg: Cfg,
        kernel_size: int = 4,
        scale_factor: int = 2,
    ) -> None:
        super().__init__()
        padding, odd = divmod(kernel_size - scale_factor, 2)
        if padding < 0 or odd:
            raise ConfigError(
                f"a DeconvModule's kernel_size must exceed its scale_factor by an even number or nothing, "
                f"not {kernel_size} and {scale_factor}"
            )
        conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride=scale_factor, padding=padding)
        self.deconv_upsamping = nn.Sequential(conv, build_norm(norm_cfg, out_channels)[1], build_activation(act_cfg))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, scale_factor H, scale_factor W)."""
        return self.deconv_upsamping(x)


_UPSAMPLERS: dict[str, type[nn.Module]] = {"InterpConv": _InterpConv, "DeconvModule": _Deconv}


def _upsampler(cfg: Cfg, in_channels: int, out_channels: int, norm_cfg: Cfg, act_cfg: Cfg) -> nn.Module:
    kind = cfg["type"]
    if kind not in _UPSAMPLERS:
        raise UnsupportedError(f"UNet's upsample_cfg has the types {', '.join(_UPSAMPLERS)}, not {kind!r}")
    keywords: dict[str, Any] = {key: value for key, value in cfg.items() if key not in {"type", "with_cp"}}
    return _UPSAMPLERS[kind](in_channels, out_channels, norm_cfg=norm_cfg, act_cfg=act_cfg, **keywords)


class _Convs(nn.Module):
    """A row of 3x3 convolutions; the first may stride, the later ones may be dilated."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        count: int,
        stride: int,
        dilation: int,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        settings = [(in_channels, stride, 1)] + [(out_channels, 1, dilation)] * (count - 1)
        self.convs = nn.Sequential(
            *[
                ConvModule(
                    width,
                    out_channels,
                    3,
                    stride=step,
                    padding=spread,
                    dilation=spread,
                    conv_cfg=conv_cfg,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for width, step, spread in settings
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        return self.convs(x)


class _Join(nn.Module):
    """A decoder stage: upsample, concatenate with the encoder's map, convolve."""

    def __init__(self, upsample: nn.Module, convs: nn.Module) -> None:
        super().__init__()
        self.conv_block = convs
        self.upsample = upsample

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """(N, C, H, W) and (N, 2 C, h, w) -> (N, C, H, W)."""
        return self.conv_block(torch.cat([skip, self.upsample(x)], dim=1))


@backbones.register
class UNet(nn.Module):
    """UNet; its maps are those of the decoder, the deepest first.

    Args:
        in_channels: Channels of the image.
        base_channels: Channels of the first stage; each further one doubles them.
        num_stages: Number of encoder stages.
        strides: Stride of each encoder stage's first convolution.
        enc_num_convs, dec_num_convs: Convolutions in each stage.
        downsamples: Whether a max pool halves the map before each stage after the first; of no effect where the stage
            strides.
        enc_dilations, dec_dilations: Dilation in each stage.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
        upsample_cfg: How the decoder enlarges: type ``InterpConv`` or ``DeconvModule`` and its options.
        dcn, plugins: Not provided, here or upstream; must be None.

    Raises:
        ConfigError: A setting has not one entry for each stage.
        UnsupportedError: ``dcn``, ``plugins`` or an unknown way of upsampling is asked for.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_stages: int = 5,
        strides: Sequence[int] = (1, 1, 1, 1, 1),
        enc_num_convs: Sequence[int] = (2, 2, 2, 2, 2),
        dec_num_convs: Sequence[int] = (2, 2, 2, 2),
        downsamples: Sequence[bool] = (True, True, True, True),
        enc_dilations: Sequence[int] = (1, 1, 1, 1, 1),
        dec_dilations: Sequence[int] = (1, 1, 1, 1),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
        upsample_cfg: Cfg = _INTERPOLATE,
        dcn: Cfg | None = None,
        plugins: Sequence[Cfg] | None = None,
    ) -> None:
        super().__init__()
        if dcn is not None or plugins is not None:
            raise UnsupportedError("dcn and plugins in a UNet are not provided")
        _check_lengths(num_stages, strides=strides, enc_num_convs=enc_num_convs, enc_dilations=enc_dilations)
        _check_lengths(
            num_stages - 1, dec_num_convs=dec_num_convs, downsamples=downsamples, dec_dilations=dec_dilations
        )

        def convs(before: int, after: int, count: int, dilation: int, stride: int = 1) -> _Convs:
            return _Convs(
                before,
                after,
                count=count,
                stride=stride,
                dilation=dilation,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        def widen(deep: int, shallow: int, *, enlarge: bool) -> nn.Module:
            if enlarge:
                return _upsampler(upsample_cfg, deep, shallow, norm_cfg, act_cfg)
            return ConvModule(deep, shallow, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        first = convs(in_channels, base_channels, enc_num_convs[0], enc_dilations[0], strides[0])
        self.encoder = nn.ModuleList([nn.Sequential(first)])
        self.decoder = nn.ModuleList()
        rate = 1
        for i in range(1, num_stages):
            shallow, deep = base_channels * 2 ** (i - 1), base_channels * 2**i
            pool = [nn.MaxPool2d(2)] if strides[i] == 1 and downsamples[i - 1] else []
            stage = convs(shallow, deep, enc_num_convs[i], enc_dilations[i], strides[i])
            self.encoder.append(nn.Sequential(*pool, stage))
            halved = strides[i] != 1 or downsamples[i - 1]
            join = convs(2 * shallow, shallow, dec_num_convs[i - 1], dec_dilations[i - 1])
            self.decoder.append(_Join(widen(deep, shallow, enlarge=halved), join))
            rate *= 2 if halved else 1
        self.sizes = SizeRule(multiple_of=rate)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the encoder's last map, then that of each decoder stage."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        maps = [skips.pop()]
        for join in reversed(self.decoder):
            maps.append(join(skips.pop(), maps[-1]))
        return tuple(maps)


def _check_lengths(count: int, **settings: Sequence[object]) -> None:
    for name, values in settings.items():
        if len(values) != count:
            raise ConfigError(f"UNet's {name} needs {count} entries, one for each stage it is of, not {len(values)}")
