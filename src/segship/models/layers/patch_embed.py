"""Cutting an image into patches, and merging patches into larger ones.

Source: Vision Transformer (arXiv:2010.11929), Swin Transformer (arXiv:2103.14030); names from mmseg
``models/utils/embed.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from segship.models.layers.conv import build_conv, build_norm
from segship.models.layers.tokens import to_map, to_tokens
from segship.models.layers.windows import cut, windows_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["AdaptivePadding", "PaddingMode", "PatchEmbed", "PatchMerging", "pair"]

PaddingMode: TypeAlias = Literal["corner", "same"]


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """``(size, size)`` of a number, or the two numbers of a sequence; one of one number counts twice."""
    if isinstance(size, int):
        return size, size
    return size[0], size[-1]


class AdaptivePadding(nn.Module):
    """Zeros around a map, so that a kernel's steps cover it whole.

    Args:
        kernel_size, stride, dilation: The kernel's, for height and width.
        padding: ``"corner"``: at the bottom and right; ``"same"``: on all sides, the odd row or column at the bottom
            or right.
    """

    def __init__(
        self, kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: PaddingMode
    ) -> None:
        super().__init__()
        self.extent = tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))
        self.stride = stride
        self.padding = padding

    def _missing(self, length: int, axis: int) -> int:
        extent, stride = self.extent[axis], self.stride[axis]
        # Written so that a symbolic length plus this is visibly a multiple of the stride.
        missing = (length + stride - 1) // stride * stride + (extent - stride) - length
        if extent >= stride:
            return missing
        return torch.sym_max(missing, 0)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        bottom, right = self._missing(x.shape[2], 0), self._missing(x.shape[3], 1)
        if self.padding == "corner":
            return F.pad(x, (0, right, 0, bottom))
        return F.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))


class PatchEmbed(nn.Module):
    """A strided convolution from an image or a map to tokens.

    Args:
        in_channels: Channels of the image.
        embed_dims: Width of the tokens.
        kernel_size, stride: Of the convolution; None: the stride is the kernel's size.
        padding: Of the convolution, or how to pad adaptively.
        bias: Of the convolution.
        norm_cfg: Normalisation of the tokens, or None.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        *,
        kernel_size: int | Sequence[int] = 16,
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] | PaddingMode = "corner",
        bias: bool = True,
        norm_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        kernel, step = pair(kernel_size), pair(kernel_size if stride is None else stride)
        fixed = (0, 0) if isinstance(padding, str) else pair(padding)
        self.adap_padding = AdaptivePadding(kernel, step, (1, 1), padding) if isinstance(padding, str) else None
        self.projection = build_conv(None, in_channels, embed_dims, kernel, stride=step, padding=fixed, bias=bias)
        self.norm = None if norm_cfg is None else build_norm(norm_cfg, embed_dims)[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        """(N, in_channels, H, W) -> tokens (N, h*w, embed_dims) and their (h, w)."""
        if self.adap_padding is not None:
            x = self.adap_padding(x)
        x = self.projection(x)
        size = (x.shape[2], x.shape[3])
        tokens = to_tokens(x)
        return (tokens if self.norm is None else self.norm(tokens)), size


class PatchMerging(nn.Module):
    """Neighbouring tokens joined channel-wise, normalised and projected.

    Args:
        in_channels, out_channels: Width of the tokens before and after.
        stride: Distance between merged patches; a patch is always 2x2 tokens.
        norm_cfg: Normalisation of the joined tokens, or None.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 2, norm_cfg: Cfg | None = None) -> None:
        super().__init__()
        self.stride = stride
        self.adap_padding = AdaptivePadding((2, 2), (stride, stride), (1, 1), "corner")
        self.norm = None if norm_cfg is None else build_norm(norm_cfg, 4 * in_channels)[1]
        self.reduction = nn.Linear(4 * in_channels, out_channels, bias=False)

    def forward(self, x: Tensor, size: Size) -> tuple[Tensor, Size]:
        """(N, H*W, in_channels) of a map of ``size`` -> (N, h*w, out_channels) and its (h, w)."""
        if self.stride == 2:  # disjoint patches: moving axes is enough, no more than four at a time
            rows, columns = windows_along(size[0], 2), windows_along(size[1], 2)
            x = F.pad(torch.unflatten(x, 1, size), (0, 0, 0, 2 * columns - size[1], 0, 2 * rows - size[0]))
            x = cut(x, 2, (rows, columns)).transpose(2, 3).flatten(2)
        else:
            x = self.adap_padding(to_map(x, size))
            rows, columns = ((length - 2) // self.stride + 1 for length in x.shape[2:])
            x = F.unfold(x, 2, stride=self.stride).transpose(1, 2)
        return self.reduction(x if self.norm is None else self.norm(x)), (rows, columns)
