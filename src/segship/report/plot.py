"""Accuracy against speed, as an SVG picture that is part of the page."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLOURS", "Point", "scatter", "ticks"]

COLOURS = ("#1b1b1b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Distinguishable with any colour vision (Okabe and Ito); the first is the original's."""

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 18, 60


@dataclass(frozen=True)
class Point:
    """One target with one batch size.

    Attributes:
        label: Which target, told when it is pointed at.
        batch: Stands inside it.
        colour: Number of its colour.
        speed: Images in a second.
        accuracy: mIoU in percent.
    """

    label: str
    batch: int
    colour: int
    speed: float
    accuracy: float


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span ``low`` to ``high``.

    Args:
        low: Least value.
        high: Greatest value; greater than ``low``.
        about: How many are wanted.
    """
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def scatter(points: Sequence[Point]) -> str:
    """The picture.

    Args:
        points: One for each target and batch size.

    Returns:
        An ``<svg>`` element; an empty string where there is no point.
    """
    if not points:
        return ""
    speeds = [point.speed for point in points]
    accuracies = [point.accuracy for point in points]
    across = ticks(0, max(speeds) * 1.1)
    spread = max(max(accuracies) - min(accuracies), 1.0)
    upward = ticks(min(accuracies) - 0.15 * spread, max(accuracies) + 0.15 * spread)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="mIoU against images per second">',
        *_grid(across, upward),
    ]
    for point in points:
        x, y = _x(point.speed, across), _y(point.accuracy, upward)
        colour = COLOURS[point.colour % len(COLOURS)]
        parts.append(
            f'<g><title>{_told(point)}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{colour}" '
            f'fill-opacity="0.85"/><text class="in" x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle">{point.batch}'
            "</text></g>"
        )
    return "".join([*parts, "</svg>"])


def _told(point: Point) -> str:
    return html.escape(f"{point.label}, batch {point.batch}: mIoU {point.accuracy:.2f}, {point.speed:.1f} images/s")


def _x(value: float, across: list[float]) -> float:
    return _LEFT + (value - across[0]) / (across[-1] - across[0]) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, upward: list[float]) -> float:
    return _HEIGHT - _BOTTOM - (value - upward[0]) / (upward[-1] - upward[0]) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(across: list[float], upward: list[float]) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in across:
        x = _x(value, across)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 22}" text-anchor="middle">{value:g}</text>')
    for value in upward:
        y = _y(value, upward)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle, centre = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">images per second</text>')
    parts.append(f'<text transform="translate(20 {centre}) rotate(-90)" text-anchor="middle">mIoU, %</text>')
    return parts
