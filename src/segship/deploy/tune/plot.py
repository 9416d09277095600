"""The candidates as a picture: what they cost in accuracy against the time they take."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from segship.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.deploy.tune.result import Tried

__all__ = ["draw"]

_SIZE = 8.0, 4.5  # inches
_FRONT, _OTHERS, _REFUSED = "#0072b2", "#7f7f7f", "#d55e00"


def draw(tried: Sequence[Tried], path: Path, title: str) -> bool:
    """Draw every candidate that was timed; those on the Pareto front are joined, and the area is the size of the file.

    Args:
        tried: All candidates.
        path: The file to write, ``.svg``.
        title: Above the picture.

    Returns:
        False, and nothing is written, where matplotlib is not installed or nothing was timed.
    """
    shown = [one for one in tried if one.timing is not None]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not shown:
        return False
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    labelled = all(one.mIoU is not None for one in shown)
    _draw_candidates(axes, shown, labelled=labelled)
    axes.set_xlabel("ms from the image to the mask")
    axes.set_ylabel("mIoU in percent" if labelled else "labels kept, in percent")
    axes.set_title(title)
    axes.margins(x=0.18, y=0.15)
    axes.grid(alpha=0.3)
    _save(figure, path)
    return True


def _draw_candidates(axes: Any, shown: Sequence[Tried], *, labelled: bool) -> None:
    """A disc for each candidate, and a line that joins the best."""
    largest = max(one.size for one in shown) or 1
    for one in shown:
        x, y = _place(one, labelled=labelled)
        axes.scatter(x, y, s=40 + 260 * one.size / largest, color=_colour(one), alpha=0.75, linewidths=0)
        axes.annotate(one.target, (x, y), textcoords="offset points", xytext=(8, 5), fontsize=8)
    if front := sorted(_place(one, labelled=labelled) for one in shown if one.front):
        axes.plot(*zip(*front, strict=True), color=_FRONT, linewidth=1)


def _colour(one: Tried) -> str:
    if one.front:
        return _FRONT
    return _OTHERS if one.state == "passed" else _REFUSED


def _place(one: Tried, *, labelled: bool) -> tuple[float, float]:
    timing = one.timing
    height = one.mIoU if labelled else 100 * (one.agreement or 0.0)
    return (timing.milliseconds if timing is not None else 0.0), height or 0.0


def _save(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_atomically(path, buffer.getvalue())
