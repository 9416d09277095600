"""Position embeddings that were trained at another image size: absolute ones, and tables of relative positions."""

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
_TABLE = "relative_position_bias_table"
_EXTRA = 3  # BEiT's rows of the class token: to the cells, from them, to itself
_CUBIC = 4  # points that a cubic needs


def fit_position(key: str, value: Tensor, expected: Mapping[str, Tensor], notes: list[str]) -> Tensor:
    """``value`` as ``expected`` wants it, where its image or window has another size.

    A ``pos_embed`` (1, extra + h * w, C) of another grid is resized bicubically, as vision transformers are fine-tuned.
    A ``relative_position_bias_table`` (rows, heads) is resized bicubically where it is Swin's, and by splines over
    distances that grow geometrically where it is BEiT's (three rows more), as their networks are fine-tuned: near
    positions then keep their values. Grids and windows are taken to be square, as pre-training's are.

    Args:
        key: Of the weight; others are left alone.
        value: The weight.
        expected: The network's own weights.
        notes: Gets a sentence where something was resized.
    """
    target = expected.get(key)
    if target is None or value.shape == target.shape or value.ndim != target.ndim:
        return value
    kind = key.rpartition(".")[2]
    if kind == _NAME and value.shape[2] == target.shape[2]:
        return _fit_cells(key, value, target.shape[1], notes)
    if kind == _TABLE and value.shape[1] == target.shape[1]:
        return _fit_table(key, value, target.shape[0], notes)
    return value


def _fit_cells(key: str, value: Tensor, wanted: int, notes: list[str]) -> Tensor:
    grids = _grids(value.shape[1], wanted)
    if grids is None:
        return value
    extra, before, after = grids
    tokens, cells = value[:, :extra], value[:, extra:]
    maps = cells.reshape(1, before, before, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, (after, after), mode="bicubic", align_corners=False)
    notes.append(f"{key} was resized from {before}x{before} to {after}x{after} patches")
    return torch.cat([tokens, maps.flatten(2).transpose(1, 2)], dim=1)


def _fit_table(key: str, value: Tensor, wanted: int, notes: list[str]) -> Tensor:
    """Rows (2 w - 1)^2, and BEiT's three, of another window."""
    for extra in (0, _EXTRA):
        before, after = math.isqrt(value.shape[0] - extra), math.isqrt(wanted - extra)
        if before**2 == value.shape[0] - extra and after**2 == wanted - extra and before % 2 == after % 2 == 1:
            break
    else:
        return value
    rows, tokens = value[: before**2], value[before**2 :]
    maps = rows.reshape(before, before, -1).permute(2, 0, 1)
    if extra:
        matrix = _geometric(before, after).to(maps)
        maps = matrix @ maps @ matrix.T
    else:
        maps = F.interpolate(maps[None], (after, after), mode="bicubic", align_corners=False)[0]
    notes.append(f"{key} was resized from windows of {before // 2 + 1} to windows of {after // 2 + 1} patches")
    return torch.cat([maps.flatten(1).T, tokens])


def _geometric(before: int, after: int) -> Tensor:
    """What makes a side of ``after`` distances out of one of ``before``.

    The known distances are laid 1, 1 + q, 1 + q + q^2, … from the middle, with the ratio q (1.01 to 1.5) that lets the
    last one reach the edge of the new side.
    """
    low, high = 1.01, 1.5
    while high - low > 1e-6:  # noqa: PLR2004  (the ratio's precision)
        ratio = (low + high) / 2
        if (1 - ratio ** (before // 2)) / (1 - ratio) > after // 2:
            high = ratio
        else:
            low = ratio
    steps = torch.cumsum(ratio ** torch.arange(before // 2, dtype=torch.float64), 0)
    half = after // 2
    wanted = torch.arange(-half, half + 1, dtype=torch.float64)
    known = torch.cat([-steps.flip(0), torch.zeros(1, dtype=torch.float64), steps])
    return _spline(known, wanted.clamp(known[0], known[-1]))  # beyond the last one, its value goes on


def _spline(known: Tensor, wanted: Tensor) -> Tensor:
    """The matrix of the interpolating cubic spline without knots at the second and the last but one of ``known``.

    Args:
        known: float64 (n,), ascending.
        wanted: float64 (m,).

    Returns:
        float64 (m, n): times the values at ``known``, it gives those at ``wanted``. Under four points: straight lines.
    """
    count, gaps = len(known), known.diff()
    ones = torch.eye(count, dtype=torch.float64)
    bends = torch.zeros_like(ones)
    if count >= _CUBIC:
        system, right = torch.zeros_like(ones), torch.zeros_like(ones)
        slopes = ones.diff(dim=0) / gaps[:, None]
        for row in range(1, count - 1):
            left, next_ = gaps[row - 1], gaps[row]
            system[row, row - 1 : row + 2] = torch.stack([left, 2 * (left + next_), next_])
            right[row] = 6 * (slopes[row] - slopes[row - 1])
        system[0, :3] = torch.stack([gaps[1], -gaps[0] - gaps[1], gaps[0]])
        system[-1, -3:] = torch.stack([gaps[-1], -gaps[-2] - gaps[-1], gaps[-2]])
        bends = torch.linalg.solve(system, right)
    place = torch.searchsorted(known, wanted, right=True).clamp(1, count - 1)
    gap = gaps[place - 1]
    after = (wanted - known[place - 1]) / gap
    ahead = 1 - after
    weights = [ahead, after, (ahead**3 - ahead) * gap**2 / 6, (after**3 - after) * gap**2 / 6]
    parts = [ones[place - 1], ones[place], bends[place - 1], bends[place]]
    return torch.stack([weight[:, None] * part for weight, part in zip(weights, parts, strict=True)]).sum(0)


def _grids(before: int, after: int) -> tuple[int, int, int] | None:
    """Number of tokens that are no cells, and the sides of both grids; None where they are not square."""
    for extra in (1, 0, 2):
        sides = math.isqrt(before - extra), math.isqrt(after - extra)
        if sides[0] ** 2 == before - extra and sides[1] ** 2 == after - extra:
            return extra, *sides
    return None
