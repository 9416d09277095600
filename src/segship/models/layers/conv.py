"""Convolution, normalisation and activation in one module, under mmcv's names (``ConvModule`` and its relatives).

Source: the building blocks of mmcv (Apache-2.0), whose attribute names are the state-dict keys of every network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from torch import nn

from segship.core.errors import UnsupportedError, did_you_mean
from segship.models.layers.activation import build_activation

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RELU", "Cfg", "ConvModule", "DepthwiseSeparableConvModule", "build_conv", "build_norm"]

Cfg: TypeAlias = Mapping[str, Any]
"""What a config calls ``norm_cfg``, ``act_cfg`` or ``conv_cfg``: a ``type`` and its keywords."""

RELU: Cfg = {"type": "ReLU"}

_Size: TypeAlias = int | tuple[int, int]
_NORMS: dict[str, tuple[str, type[nn.Module]]] = {
    "BN": ("bn", nn.BatchNorm2d),
    "BN2d": ("bn", nn.BatchNorm2d),
    "SyncBN": ("bn", nn.BatchNorm2d),  # the same arithmetic at inference
    "GN": ("gn", nn.GroupNorm),
    "LN": ("ln", nn.LayerNorm),
    "IN": ("in", nn.InstanceNorm2d),
    "IN2d": ("in", nn.InstanceNorm2d),
}
_TRAINING_ONLY = {"type", "requires_grad", "momentum"}


def build_norm(norm_cfg: Cfg, channels: int) -> tuple[str, nn.Module]:
    """A normalisation layer and the attribute name mmcv gives it.

    Args:
        norm_cfg: ``{"type": "BN" | "SyncBN" | "GN" | "LN" | "IN", "eps": …, "num_groups": …}``.
        channels: Number of channels.

    Returns:
        ``("bn", layer)``; the name is the prefix of the layer's state-dict keys.

    Raises:
        UnsupportedError: The type is unknown.
    """
    kind = norm_cfg["type"]
    if kind not in _NORMS:
        raise UnsupportedError(f"no normalisation layer is called {kind!r}.{did_you_mean(kind, _NORMS)}")
    name, layer = _NORMS[kind]
    keywords = {key: value for key, value in norm_cfg.items() if key not in _TRAINING_ONLY}
    if layer is nn.GroupNorm:
        return name, nn.GroupNorm(num_channels=channels, **keywords)
    return name, layer(channels, **keywords)


def build_conv(conv_cfg: Cfg | None, *args: Any, **keywords: Any) -> nn.Conv2d:
    """``nn.Conv2d(*args, **keywords)``, of the kind ``conv_cfg`` names.

    Raises:
        UnsupportedError: ``conv_cfg`` asks for another operator (deformable convolution and the like).
    """
    kind = "Conv2d" if conv_cfg is None else conv_cfg["type"]
    if kind not in {"Conv2d", "Conv"}:
        raise UnsupportedError(f"convolutions of type {kind!r} are not provided: plain Conv2d is")
    return nn.Conv2d(*args, **keywords)


class ConvModule(nn.Module):
    """Convolution, then normalisation, then activation.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: As ``nn.Conv2d``.
        bias: ``"auto"``: a bias where no normalisation follows.
        conv_cfg, norm_cfg, act_cfg: Kind of each part; None leaves normalisation or activation out.
        padding_mode: As ``nn.Conv2d``.
        order: The order in which the parts run.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        *,
        stride: _Size = 1,
        padding: _Size = 0,
        dilation: _Size = 1,
        groups: int = 1,
        bias: bool | Literal["auto"] = "auto",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
        padding_mode: str = "zeros",
        order: tuple[str, str, str] = ("conv", "norm", "act"),
    ) -> None:
        super().__init__()
        self.conv = build_conv(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=norm_cfg is None if bias == "auto" else bias,
            padding_mode=padding_mode,
        )
        self.norm_name: str | None = None
        if norm_cfg is not None:
            before = order.index("norm") < order.index("conv")
            self.norm_name, norm = build_norm(norm_cfg, in_channels if before else out_channels)
            self.add_module(self.norm_name, norm)
        self.activate = None if act_cfg is None else build_activation(act_cfg)
        self.order = order

    def _part(self, name: str) -> nn.Module | None:
        if name == "conv":
            return self.conv
        if name == "act":
            return self.activate
        return None if self.norm_name is None else self.get_submodule(self.norm_name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        for name in self.order:
            part = self._part(name)
            if part is not None:
                x = part(x)
        return x


class DepthwiseSeparableConvModule(nn.Module):
    """A depthwise convolution, then a pointwise one (mmcv's names; MobileNets, arXiv:1704.04861).

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation: As ``nn.Conv2d``.
        norm_cfg, act_cfg: Of both parts.
        dw_norm_cfg, dw_act_cfg: Of the depthwise part; ``"default"``: the same as ``norm_cfg`` and ``act_cfg``.
        pw_norm_cfg, pw_act_cfg: Of the pointwise part, likewise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        *,
        stride: _Size = 1,
        padding: _Size = 0,
        dilation: _Size = 1,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
        dw_norm_cfg: Cfg | Literal["default"] | None = "default",
        dw_act_cfg: Cfg | Literal["default"] | None = "default",
        pw_norm_cfg: Cfg | Literal["default"] | None = "default",
        pw_act_cfg: Cfg | Literal["default"] | None = "default",
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            norm_cfg=norm_cfg if isinstance(dw_norm_cfg, str) else dw_norm_cfg,
            act_cfg=act_cfg if isinstance(dw_act_cfg, str) else dw_act_cfg,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=norm_cfg if isinstance(pw_norm_cfg, str) else pw_norm_cfg,
            act_cfg=act_cfg if isinstance(pw_act_cfg, str) else pw_act_cfg,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return self.pointwise_conv(self.depthwise_conv(x))
