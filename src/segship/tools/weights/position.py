"""Position embeddings that were trained at another image size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["fit_position"]

_NAME = "pos_embed"


def fit_position(key: str, value: Tensor, expected: Mapping[str, Tensor], notes: list[str]) -> Tensor:
    """``value`` as ``expected`` wants it: a ``pos_embed`` (1, extra + h * w, C) of another grid is resized.

    Both grids are taken to be square, as pre-training's are. Bicubic, as vision transformers are fine-tuned.

    Args:
        key: Of the weight; any but ``pos_embed`` is left alone.
        value: The weight.
        expected: The network's own weights.
        notes: Gets a sentence where something was resized.
    """
    target = expected.get(key)
    if key.rpartition(".")[2] != _NAME or target is None or value.shape == target.shape or value.ndim != target.ndim:
        return value
    grids = _grids(value.shape[1], target.shape[1])
    if grids is None or value.shape[2] != target.shape[2]:
        return value
    extra, before, after = grids
    tokens, cells = value[:, :extra], value[:, extra:]
    maps = cells.reshape(1, before, before, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, (after, after), mode="bicubic", align_corners=False)
    notes.append(f"{key} was resized from {before}x{before} to {after}x{after} patches")
    return torch.cat([tokens, maps.flatten(2).transpose(1, 2)], dim=1)


def _grids(before: int, after: int) -> tuple[int, int, int] | None:
    """Number of tokens that are no cells, and the sides of both grids; None where they are not square."""
    for extra in (1, 0, 2):
        sides = math.isqrt(before - extra), math.isqrt(after - extra)
        if sides[0] ** 2 == before - extra and sides[1] ** 2 == after - extra:
            return extra, *sides
    return None
