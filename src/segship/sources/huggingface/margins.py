"""Margins of zeros that processors put around a normalised image, made inside the graph.

The library resizes the scores of the margin with those of the image, and so stretches the mask over it: inside the
graph nothing needs to know of the margin but DETR, which does not look at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Resize, ResizeWithin, SizeRule
from segship.sources.huggingface.masks import Detr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.spec import GeometryStep

__all__ = ["Framed", "Margin", "find_margin", "within"]

_MASKS = ("MaskFormer", "Mask2Former")  # which pad to pad_size without being told to pad


class Margin(NamedTuple):
    """Zeros around an image.

    Attributes:
        size: (height, width) after padding at the bottom and right, or None.
        multiple: Of which each side becomes a multiple after padding on both sides, the smaller half first, or None.
    """

    size: tuple[int, int] | None = None
    multiple: int | None = None


def find_margin(processor: Any, geometry: Sequence[GeometryStep]) -> Margin | None:
    """Return the margin that a processor puts around a lone image, or None.

    Args:
        processor: The library's object.
        geometry: What it does before.

    Raises:
        ConfigError: Images would be larger than what they are padded to.
        UnsupportedError: It pads in a way that is not provided.
    """
    name, pads = type(processor).__name__, bool(getattr(processor, "do_pad", False))
    if name.startswith("Sapiens2") and pads:
        raise UnsupportedError("Sapiens2's processor keeps the aspect ratio and pads (do_pad), which is not provided")
    if name.startswith("DPT"):
        divisor = getattr(processor, "size_divisor", None) if pads else None
        return Margin(multiple=int(divisor)) if divisor else None
    asked = getattr(processor, "pad_size", None)
    if not asked or not (name.startswith(_MASKS) or (name.startswith("Detr") and pads)):
        return None  # other processors have the option, and do not read it
    size = (asked["height"], asked["width"])
    _require_room(size, geometry)
    return Margin(size=size)


def _require_room(size: tuple[int, int], geometry: Sequence[GeometryStep]) -> None:
    """Refuse a margin that images may not fit into, as the library does once it sees one that does not."""
    if not geometry:
        raise UnsupportedError("the processor pads images (pad_size) that it does not resize, which is not provided")
    step = geometry[-1]
    most = (step.height, step.width) if isinstance(step, Resize | ResizeWithin) else (getattr(step, "long", None),) * 2
    multiple = getattr(step, "multiple_of", 1)
    for side, long in zip(size, most, strict=True):
        if long is None or -(-long // multiple) * multiple > side:
            raise ConfigError(
                f"the processor pads images to {size[0]}x{size[1]} (pad_size), and {step} may make them larger"
            )


def within(sizes: SizeRule, margin: Margin, asked: tuple[int, int] | None) -> SizeRule:
    """Return which sizes the graph takes before the margin, of a network that takes ``sizes`` after it.

    Raises:
        ConfigError: The network takes one size only, and the margin makes another.
    """
    if margin.size is None:
        return sizes
    if asked is None and sizes.fixed not in {None, margin.size}:
        raise ConfigError(f"the processor pads images to {margin.size}, but the network takes {sizes.fixed} only")
    return SizeRule(fixed=asked)


class Framed(nn.Module):
    """A network that sees images within a margin.

    Args:
        network: What sees them.
        margin: The zeros around them.
    """

    def __init__(self, network: nn.Module, margin: Margin) -> None:
        super().__init__()
        self.network = network
        self.margin = margin

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes, h, w), of the margin, too."""
        if self.margin.size is None:
            return self._scores(self._divisible(x, self.margin.multiple or 1))
        rows, columns = self.margin.size
        framed = F.pad(x, (0, columns, 0, rows))[:, :, :rows, :columns]
        if not isinstance(self.network, Detr):
            return self._scores(framed)
        seen = F.pad(x[:, :1] * 0 + 1, (0, columns, 0, rows))[:, :, :rows, :columns]
        return self.network.masked(framed, seen)

    def _scores(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(x)
        return found

    @staticmethod
    def _divisible(x: Tensor, multiple: int) -> Tensor:
        rows, columns = ((side + multiple - 1) // multiple * multiple - side for side in x.shape[2:])
        return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
