"""The neck that makes a pyramid of a plain transformer's maps by transposed convolutions and pooling (BEiT, MAE).

Source: BEiT (arXiv:2106.08254); upstream ``mmseg/models/necks/featurepyramid.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import Cfg, build_norm
from segship.models.registry import necks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["Feature2Pyramid"]

_BATCH_NORM: Cfg = {"type": "SyncBN"}
_NAMES = {4: "upsample_4x", 2: "upsample_2x", 1: "identity", 0.5: "downsample_2x", 0.25: "downsample_4x"}


@necks.register
class Feature2Pyramid(nn.Module):
    """One map for each level; the levels are x4, x2, x1, x1/2, or x2, x1, x1/2, x1/4 where x4 is left out.

    Args:
        embed_dim: Channels of every map.
        rescales: The levels. Upstream always runs them from large to small, in whatever order they are listed.
        norm_cfg: Normalisation between the two transposed convolutions of x4.

    Raises:
        ConfigError: ``rescales`` holds anything else.
    """

    def __init__(
        self, embed_dim: int, *, rescales: Sequence[float] = (4, 2, 1, 0.5), norm_cfg: Cfg = _BATCH_NORM
    ) -> None:
        super().__init__()
        if not set(rescales) <= set(_NAMES):
            raise ConfigError(f"rescales of Feature2Pyramid must be among {list(_NAMES)}, not {list(rescales)}")

        def enlarge() -> nn.Module:
            return nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2)

        makers: dict[float, Callable[[], nn.Module]] = {
            4: lambda: nn.Sequential(enlarge(), build_norm(norm_cfg, embed_dim)[1], nn.GELU(), enlarge()),
            2: lambda: nn.Sequential(enlarge()),
            1: nn.Identity,
            0.5: lambda: nn.MaxPool2d(2),
            0.25: lambda: nn.MaxPool2d(4),
        }
        order = sorted(set(rescales), reverse=True)
        self.levels = [_NAMES[scale] for scale in order]
        for scale, name in zip(order, self.levels, strict=True):
            self.add_module(name, makers[scale]())

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps (N, embed_dim, h, w) -> as many maps, enlarged or reduced, the largest first."""
        return tuple(self.get_submodule(name)(x) for name, x in zip(self.levels, features, strict=True))
