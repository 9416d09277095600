"""How far scores can be trusted: the expected calibration error and the reliability diagram, before and after."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from segship.report.plot import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.report.results import TargetResult

__all__ = ["as_html", "diagram", "rows"]

_SIDE, _RIM = 200, 44  # of a diagram: its square, and the room around for numbers
_BEFORE, _AFTER = 7, 1  # numbers of colours


def rows(candidates: Sequence[TargetResult]) -> list[tuple[str, int, Mapping[str, Any]]]:
    """Find what is known of each target's scores, and of those of the network in fp32 beside one.

    Args:
        candidates: Of a report.

    Returns:
        Name, images that it was measured on, and the temperatures with what they change
        (`segship.core.calibration.TemperatureFit` as JSON types).
    """
    found = []
    for one in candidates:
        if one.calibration is not None:
            fits = {one.name: one.calibration["engine"]}
            if one.calibration.get("network") is not None:
                fits = {f"{one.name}: the network in fp32": one.calibration["network"]} | fits
            found += [(name, int(one.calibration["images"]), fit) for name, fit in fits.items()]
    return found


def as_html(candidates: Sequence[TargetResult]) -> str:
    """The table and the diagrams.

    Args:
        candidates: Of a report.

    Returns:
        HTML; an empty string where nothing is known of any target's scores.
    """
    known = rows(candidates)
    if not known:
        return ""
    titles = ("scores of", "images", "temperature", "ECE before", "ECE after")
    head = "".join(f"<th>{title}</th>" for title in titles)
    lines, pictures = [], []
    for name, images, fit in known:
        low, high = min(fit["temperatures"]), max(fit["temperatures"])
        spread = f"{low:.3f}" if len(fit["temperatures"]) == 1 else f"{low:.3f}-{high:.3f}"
        cells = (escape(name), images, spread, *(f"{fit[when]['ece']:.2%}" for when in ("before", "after")))
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
        pictures.append(diagram(name, fit))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    told = (
        "Share of labels that are right against their confidence, bin by bin: grey before, blue after calibration; on "
        "the diagonal, scores are as sure as they are right. ECE: the mean distance from it, weighed by pixels."
    )
    return f'<div class="wide">{table}</div><div>{"".join(pictures)}</div><p class="soft">{told}</p>'


def diagram(name: str, fit: Mapping[str, Any]) -> str:
    """The reliability diagram of a target.

    Args:
        name: Stands above it.
        fit: As `rows` finds it.

    Returns:
        An ``<svg>`` element.
    """
    whole = _SIDE + 2 * _RIM
    style = f"max-width:{whole}px;display:inline-block"
    parts = [
        f'<svg viewBox="0 0 {whole} {whole}" style="{style}" role="img" aria-label="reliability of {escape(name)}">',
        f'<text x="{_RIM}" y="{_RIM - 16}">{escape(name)}</text>',
        f'<line class="grid" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>',
        f'<text x="{whole / 2}" y="{whole - 8}" text-anchor="middle">confidence, %</text>',
        f'<text transform="translate(12 {whole / 2}) rotate(-90)" text-anchor="middle">right, %</text>',
    ]
    for share in (0, 0.5, 1):
        parts.append(f'<text x="{_x(share)}" y="{_y(0) + 18}" text-anchor="middle">{share * 100:g}</text>')
        parts.append(f'<text x="{_x(0) - 6}" y="{_y(share) + 4}" text-anchor="end">{share * 100:g}</text>')
    for when, colour in (("before", COLOURS[_BEFORE]), ("after", COLOURS[_AFTER])):
        bins = fit[when]["bins"]
        places = " ".join(f"{_x(one['confidence']):.1f},{_y(one['accuracy']):.1f}" for one in bins)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{places}"/>')
        for one in bins:
            told = f"{when}: {one['accuracy']:.1%} of {one['pixels']} labels right at {one['confidence']:.1%}"
            x, y = _x(one["confidence"]), _y(one["accuracy"])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{told}</title></circle>')
    return "".join([*parts, "</svg>"])


def _x(share: float) -> float:
    return _RIM + share * _SIDE


def _y(share: float) -> float:
    return _RIM + (1 - share) * _SIDE
