"""PointRend's head: logits enlarged step by step, the doubtful cells of each step classified anew.

Source: PointRend (arXiv:1912.08193); upstream ``mmseg/models/decode_heads/point_head.py`` and mmcv's
``point_sample`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.layers.activation import build_activation
from segship.models.layers.conv import RELU, Cfg
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["PointHead"]

_CONV1D: Cfg = {"type": "Conv1d"}


def _sample(x: Tensor, points: Tensor, *, align_corners: bool) -> Tensor:
    """A map's values at points, bilinearly.

    (N, C, H, W) and (N, P, 2), x before y, between 0 and 1 -> (N, C, P).
    """
    return F.grid_sample(x, (points * 2 - 1).unsqueeze(2), align_corners=align_corners).squeeze(3)


def _doubt(logits: Tensor) -> Tensor:
    """How close the second class comes to the first: (N, K, H, W) -> (N, H * W), at most 0."""
    first, second = logits.topk(2, dim=1).values.flatten(2).chunk(2, 1)
    return (second - first).squeeze(1)


def _centres(length: int, like: Tensor) -> Tensor:
    """Centres of ``length`` cells that divide the line from 0 to 1: (length,)."""
    return (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) / length


class _PointLayer(nn.Module):
    """One layer of the perceptron that all points share."""

    def __init__(self, in_channels: int, channels: int, act_cfg: Cfg | None) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, channels, 1)
        self.activate = nn.Identity() if act_cfg is None else build_activation(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, P) -> (N, channels, P)."""
        return self.activate(self.conv(x))


@heads.register
class PointHead(DecodeHead):
    """A shared perceptron over single points; a head of a cascade, which refines the logits of the head before it.

    Args:
        in_channels, in_index: Of the maps that are sampled.
        channels: Channels of the perceptron.
        num_classes: Number of classes.
        num_fcs: Number of its layers before the classifier.
        coarse_pred_each_layer: Whether the logits before are an input of every layer, not of the first alone.
        subdivision_steps: How many times the logits are enlarged.
        subdivision_num_points: How many cells are classified anew each time, at most.
        scale_factor: By how much the logits are enlarged each time.
        out_channels, threshold, align_corners: As `DecodeHead`.
        conv_cfg: Must be a one-dimensional convolution.
        norm_cfg: Must be None.
        act_cfg: As `ConvModule`.

    Raises:
        UnsupportedError: ``conv_cfg`` or ``norm_cfg`` asks for something else.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        in_index: Sequence[int],
        num_fcs: int = 3,
        coarse_pred_each_layer: bool = True,
        subdivision_steps: int = 2,
        subdivision_num_points: int = 8196,
        scale_factor: float = 2,
        out_channels: int | None = None,
        threshold: float | None = None,
        align_corners: bool = False,
        conv_cfg: Cfg = _CONV1D,
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
            input_transform="multiple_select",
            align_corners=align_corners,
        )
        del self.conv_seg  # fc_seg takes its place
        if conv_cfg["type"] != "Conv1d" or norm_cfg is not None:
            raise UnsupportedError("PointHead's layers are Conv1d without normalisation; nothing else is provided")
        self.steps, self.points, self.scale_factor = subdivision_steps, subdivision_num_points, scale_factor
        self.coarse_pred_each_layer = coarse_pred_each_layer
        repeated = num_classes if coarse_pred_each_layer else 0
        widths = [sum(in_channels) + num_classes] + [channels + repeated] * num_fcs
        self.fcs = nn.ModuleList([_PointLayer(width, channels, act_cfg) for width in widths[:-1]])
        self.fc_seg = nn.Conv1d(widths[-1], num_classes, 1)

    def _enlarge(self, logits: Tensor) -> Tensor:
        return F.interpolate(logits, scale_factor=self.scale_factor, mode="bilinear", align_corners=self.align_corners)

    def _choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The most doubtful cells: their indices (N, P), row after row, and their centres (N, P, 2), x before y."""
        height, width = logits.shape[2:]
        count = torch.sym_min(height * width, self.points)  # type: ignore[no-untyped-call]
        indices = _doubt(logits).topk(count, dim=1).indices
        # Positions are looked up: dividing indices by a width that is known only at run time does not export.
        x = _centres(width, logits).expand(height, width).flatten()[indices]
        y = _centres(height, logits)[:, None].expand(height, width).flatten()[indices]
        return indices, torch.stack([x, y], dim=2)

    def _classify_points(self, maps: Features, coarse: Tensor, points: Tensor) -> Tensor:
        """Maps, logits and points (N, P, 2) -> logits of the points (N, num_classes, P)."""
        guess = _sample(coarse, points, align_corners=self.align_corners)
        x = torch.cat([*[_sample(x, points, align_corners=self.align_corners) for x in maps], guess], dim=1)
        for layer in self.fcs:
            x = layer(x)
            if self.coarse_pred_each_layer:
                x = torch.cat([x, guess], dim=1)
        return self.fc_seg(x)

    def forward(self, features: Features, previous: Tensor) -> Tensor:
        """Feature maps and logits (N, num_classes, h, w) -> logits, enlarged ``subdivision_steps`` times."""
        maps = self.select_many(features)
        logits = previous
        for _ in range(self.steps):
            logits = self._enlarge(logits)
            indices, points = self._choose(logits)
            values = self._classify_points(maps, previous, points)
            everywhere = indices.unsqueeze(1).expand(-1, values.shape[1], -1)
            flat = logits.flatten(2).scatter(2, everywhere, values)
            logits = flat.unflatten(2, logits.shape[2:])  # type: ignore[no-untyped-call]
        return logits
