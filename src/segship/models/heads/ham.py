"""SegNeXt's head: the map is replaced by its non-negative matrix factorisation, of low rank.

Source: SegNeXt (arXiv:2209.08575), Is Attention Better Than Matrix Decomposition? (arXiv:2109.04553); upstream
``mmseg/models/decode_heads/ham_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["LightHamHead"]

_SEED = 0
_EPSILON = 1e-6
_HAM_OPTIONS = {"MD_S", "MD_R", "train_steps", "eval_steps", "inv_t", "rand_init"}


def _update(factor: Tensor, other: Tensor, product: Tensor) -> Tensor:
    """One multiplicative step towards ``product == factor @ other^T``; all batched matrices."""
    return factor * (product @ other) / (factor @ (other.transpose(-2, -1) @ other) + _EPSILON)


class _Factorisation(nn.Module):
    """Non-negative matrix factorisation of a map, channels by points.

    Args:
        channels: Channels of the map.
        groups: Groups of channels factorised apart (upstream ``MD_S``).
        rank: Rank (``MD_R``).
        steps: Alternating updates of points and channels (``eval_steps``).
    """

    bases: Tensor

    def __init__(self, channels: int, groups: int, rank: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        # On the CPU whatever the default device is: its generator gives the same numbers everywhere.
        generator = torch.Generator("cpu").manual_seed(_SEED)
        bases = torch.rand((groups, channels // groups, rank), generator=generator, device="cpu")
        # (1, groups, width, rank): as many axes as what they meet, for engines that take the first one for the batch.
        self.register_buffer("bases", F.normalize(bases, dim=1)[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Non-negative (N, C, H, W) -> the same shape."""
        _, groups, width, _ = self.bases.shape
        matrix = x.reshape(x.shape[0], groups, width, -1)
        transposed = matrix.transpose(-2, -1)
        bases = self.bases
        points = (transposed @ bases).softmax(dim=-1)
        for _ in range(self.steps):
            points = _update(points, bases, transposed)
            bases = _update(bases, points, matrix)
        points = _update(points, bases, transposed)
        return (bases @ points.transpose(-2, -1)).reshape(x.shape)


class _Hamburger(nn.Module):
    """The factorisation between two 1x1 convolutions, with a shortcut."""

    def __init__(self, channels: int, factorisation: nn.Module, norm_cfg: Cfg | None) -> None:
        super().__init__()
        self.ham_in = ConvModule(channels, channels, 1)
        self.ham = factorisation
        self.ham_out = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return (x + self.ham_out(self.ham(self.ham_in(x)))).relu()


@heads.register
class LightHamHead(DecodeHead):
    """SegNeXt's head.

    Upstream starts the factorisation from bases that are drawn anew for every image, so no two of its runs agree. Here
    they are drawn once, from a fixed seed, and are the same for every image, in every engine and in every exported
    file: those that upstream draws when torch's seed on the CPU is 0 right before the head sees its first image.

    Args:
        ham_channels: Channels of the factorisation.
        ham_kwargs: Its options: ``MD_S`` (groups of channels, default 1), ``MD_R`` (rank, default 64), ``eval_steps``
            (default 7). ``train_steps``, ``inv_t`` and ``rand_init`` are of no effect.
        in_channels, channels, num_classes, out_channels, threshold, in_index, align_corners: As `DecodeHead`; several
            maps, all resized to the first one's size.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        ConfigError: ``in_channels`` is one number, or ``ham_kwargs`` has an unknown option.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        ham_channels: int = 512,
        ham_kwargs: Cfg | None = None,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: Sequence[int] = (),
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
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
        if isinstance(in_channels, int):
            raise ConfigError(f"LightHamHead takes several maps, in_channels is the number {in_channels}")
        ham = dict(ham_kwargs or {})
        if unknown := set(ham) - _HAM_OPTIONS:
            raise ConfigError(f"ham_kwargs knows {', '.join(sorted(_HAM_OPTIONS))}, not {', '.join(sorted(unknown))}")
        factorisation = _Factorisation(ham_channels, ham.get("MD_S", 1), ham.get("MD_R", 64), ham.get("eval_steps", 7))

        def conv(before: int, after: int) -> ConvModule:
            return ConvModule(before, after, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.squeeze = conv(sum(in_channels), ham_channels)
        self.hamburger = _Hamburger(ham_channels, factorisation, norm_cfg)
        self.align = conv(ham_channels, channels)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        maps = self.select_many(features)
        size = maps[0].shape[2:]
        x = torch.cat([maps[0], *(resize(y, size, align_corners=self.align_corners) for y in maps[1:])], dim=1)
        return self.classify(self.align(self.hamburger(self.squeeze(x))))
