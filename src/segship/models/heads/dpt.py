"""DPT's head: a plain transformer's layers reassembled into a pyramid and fused from coarse to fine.

Source: Vision Transformers for Dense Prediction (arXiv:2103.13413); upstream ``mmseg/models/decode_heads/dpt_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, InputTransform
from segship.models.layers.tokens import to_map, to_tokens
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DPTHead"]

Readout: TypeAlias = Literal["ignore", "add", "project"]
_Pair: TypeAlias = Sequence["Tensor"]
_BATCH_NORM: Cfg = {"type": "BN"}


class _Reassemble(nn.Module):
    """Merge each map with its class token and bring it to its level of the pyramid: x4, x2, x1, x1/2."""

    def __init__(self, in_channels: int, out_channels: Sequence[int], readout: Readout) -> None:
        super().__init__()
        self.readout = readout
        a, b, _, d = out_channels
        self.projects = nn.ModuleList([ConvModule(in_channels, width, 1, act_cfg=None) for width in out_channels])
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(a, a, 4, stride=4),
                nn.ConvTranspose2d(b, b, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(d, d, 3, stride=2, padding=1),
            ]
        )
        if readout == "project":
            projects = [nn.Sequential(nn.Linear(2 * in_channels, in_channels), nn.GELU()) for _ in out_channels]
            self.readout_projects = nn.ModuleList(projects)

    def _merge(self, x: Tensor, token: Tensor, level: int) -> Tensor:
        if self.readout == "ignore":
            return x
        if self.readout == "add":
            return x + token[:, :, None, None]
        tokens = to_tokens(x)
        both = torch.cat([tokens, token[:, None].repeat(1, tokens.shape[1], 1)], dim=2)
        return to_map(self.readout_projects[level](both), (x.shape[2], x.shape[3]))

    def forward(self, features: Sequence[_Pair]) -> list[Tensor]:
        """Pairs of a map (N, C, h, w) and a token (N, C) -> maps, finest first."""
        merged = [self._merge(x, token, level) for level, (x, token) in enumerate(features)]
        steps = zip(self.projects, self.resize_layers, merged, strict=True)
        return [change(project(x)) for project, change, x in steps]


class _Residual(nn.Module):
    """Two convolutions, each after its activation, beside a shortcut."""

    def __init__(self, channels: int, act_cfg: Cfg, norm_cfg: Cfg | None) -> None:
        super().__init__()

        def conv() -> ConvModule:
            return ConvModule(
                channels,
                channels,
                3,
                padding=1,
                bias=False,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
                order=("act", "conv", "norm"),
            )

        self.conv1 = conv()
        self.conv2 = conv()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + self.conv2(self.conv1(x))


class _Fusion(nn.Module):
    """Add the next finer map, if there is one, and double the size."""

    def __init__(self, channels: int, act_cfg: Cfg, norm_cfg: Cfg | None, *, first: bool) -> None:
        super().__init__()
        self.project = ConvModule(channels, channels, 1, act_cfg=None, bias=True)
        self.res_conv_unit1 = None if first else _Residual(channels, act_cfg, norm_cfg)
        self.res_conv_unit2 = _Residual(channels, act_cfg, norm_cfg)

    def forward(self, x: Tensor, finer: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        if finer is not None and self.res_conv_unit1 is not None:
            x = x + self.res_conv_unit1(resize(finer, x.shape[2:]))
        x = self.res_conv_unit2(x)
        # A 1x1 convolution commutes with the resize; run first, it sees a quarter of the pixels.
        x = self.project(x)
        return resize(x, (2 * x.shape[2], 2 * x.shape[3]), align_corners=True)


@heads.register
class DPTHead(DecodeHead):
    """Reassemble, fuse and classify.

    Args:
        embed_dims: Width of the transformer's tokens.
        post_process_channels: Channels of the four levels, finest first.
        readout_type: How the class token enters a map: not, added, or joined and projected.
        patch_size: Unused by upstream.
        expand_channels: Not provided: no upstream network with it can be built.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`; ``input_transform`` must be ``"multiple_select"``.
        act_cfg, norm_cfg: Of the residual units.

    Raises:
        ConfigError: ``input_transform`` or the number of levels does not fit.
        UnsupportedError: ``expand_channels`` is set.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        embed_dims: int = 768,
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        readout_type: Readout = "ignore",
        patch_size: int = 16,
        expand_channels: bool = False,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: Sequence[int] = (0, 1, 2, 3),
        input_transform: InputTransform = "multiple_select",
        align_corners: bool = False,
        act_cfg: Cfg = RELU,
        norm_cfg: Cfg | None = _BATCH_NORM,
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
        if expand_channels:
            raise UnsupportedError("expand_channels=True of DPTHead is not provided: set it to False")
        if input_transform != "multiple_select" or len(post_process_channels) != 4:
            raise ConfigError("DPTHead takes four maps: input_transform='multiple_select', four post_process_channels")
        self.taken = in_index
        self.reassemble_blocks = _Reassemble(embed_dims, post_process_channels, readout_type)
        self.convs = nn.ModuleList(
            [ConvModule(width, channels, 3, padding=1, act_cfg=None, bias=False) for width in post_process_channels]
        )
        self.fusion_blocks = nn.ModuleList(
            [_Fusion(channels, act_cfg, norm_cfg, first=i == 0) for i in range(len(post_process_channels))]
        )
        self.project = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg)

    def forward(self, features: Sequence[_Pair]) -> Tensor:
        """Pairs of a map (N, C, h, w) and a class token (N, C) -> logits (N, out_channels, 8h, 8w)."""
        maps = self.reassemble_blocks([features[i] for i in self.taken])
        maps = [conv(x) for conv, x in zip(self.convs, maps, strict=True)]
        x = None
        for fuse, finer in zip(self.fusion_blocks, reversed(maps), strict=True):
            x = fuse(finer) if x is None else fuse(x, finer)
        return self.classify(self.project(x))
