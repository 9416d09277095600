"""The report as one page of HTML that needs no other file."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from segship.report import chips, reliability
from segship.report.layout import document
from segship.report.plot import COLOURS, Point, scatter
from segship.report.results import ORIGINAL, rows

if TYPE_CHECKING:
    from pathlib import Path

    from segship.report.results import Report, TargetResult

__all__ = ["HEADS", "cell", "columns", "page"]

HEADS = {
    "target": "target",
    "device": "device",
    "batch": "batch",
    "input": "input",
    "aAcc": "aAcc",
    "mIoU": "mIoU",
    "mAcc": "mAcc",
    "delta_mIoU": "Δ mIoU",
    "images_per_second": "images/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "memory_MiB": "MiB",
    "size_MB": "MB",
    "labels_equal": "labels equal",
    "note": "note",
}
"""Title of each column of the table."""

_FORMS = {
    "aAcc": "{:.2f}",
    "mIoU": "{:.2f}",
    "mAcc": "{:.2f}",
    "delta_mIoU": "{:+.2f}",
    "images_per_second": "{:.1f}",
    "p50_ms": "{:.1f}",
    "p99_ms": "{:.1f}",
    "memory_MiB": "{:.0f}",
    "size_MB": "{:.1f}",
    "labels_equal": "{:.2%}",
}
_LEGEND = (
    "Accuracy in per cent, with MMSegmentation's definitions. Speed from the image file to the mask, on {}. Labels "
    "equal: least share of pixels that agree with the network itself, over the inputs each package was verified with."
)
_STRONGEST = 5.0  # points of IoU: a drop of so many has the full colour


def cell(name: str, value: Any) -> str:
    """A value of the table as it is shown; nothing where it is not known.

    Args:
        name: Of the column.
        value: What is there.
    """
    text = "" if value is None else _FORMS.get(name, "{}").format(value)
    return "0.00" if text in {"+0.00", "-0.00"} else text


def columns(table: list[dict[str, Any]]) -> list[str]:
    """Names of the columns to show: the device only where something runs elsewhere than on the processor.

    Args:
        table: As `rows` makes it.
    """
    elsewhere = any(row["device"] not in {None, "cpu"} for row in table)
    return [name for name in HEADS if name != "device" or elsewhere]


def page(report: Report) -> str:
    """Write the report as one HTML page.

    Args:
        report: What was found.

    Returns:
        HTML with pictures inside.
    """
    machine = report.machine
    load = "" if machine.get("load") is None else f", load {machine['load']:.1f} when the page was made"
    place = f"{machine.get('processors')} x {escape(str(machine.get('processor')))}{load}"
    body = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="soft">{escape(", ".join(report.files))} · {escape(report.data)} · {escape(report.when)}</p>',
        "<h2>Accuracy and speed</h2>",
        _table(report),
        f'<p class="soft">{_LEGEND.format(place)}</p>',
        "<h2>mIoU against speed</h2>",
        _plot(report),
        "<h2>IoU of each class, and what each target changes</h2>",
        _heat(report),
        f'<p class="soft">Points of IoU gained or lost against {ORIGINAL}; full colour at {_STRONGEST:g} points.</p>',
    ]
    if known := reliability.as_html(report.candidates):
        body += ["<h2>Reliability of the scores</h2>", known]
    if report.chips:
        body += ["<h2>On chips elsewhere</h2>", chips.as_html(report.chips)]
    if report.samples:
        body += ["<h2>Sample masks</h2>", _masks(report), _classes(report)]
    made = [f"{name} {machine[key]}" for name, key in (("Segship", "segship"), ("Python", "python")) if key in machine]
    made += [str(machine["system"])] if "system" in machine else []
    made += [f"{name} {version}" for name, version in machine.get("engines", {}).items()]
    body.append(f'<p class="soft">{escape(", ".join(made))}</p>')
    return document(report.title, "".join(body))


def _dot(number: int) -> str:
    return f'<span class="dot" style="background:{COLOURS[number % len(COLOURS)]}"></span>'


def _name(target: str, number: int) -> str:
    """A target with its colour; it may be broken after a hyphen or an underscore."""
    joined = "&#8288;"  # keeps the colour on the line of what it belongs to
    return _dot(number) + joined + escape(target).replace("_", "_<wbr>").replace("-", "-<wbr>")


def _table(report: Report) -> str:
    table = rows(report)
    shown = [name for name in columns(table) if name != "note" and any(row[name] is not None for row in table)]
    numbers = {one.name: number for number, one in enumerate(report.candidates)}
    notes = list(dict.fromkeys(row["note"] for row in table if row["note"]))
    best = {name: _best(table, name) for name in ("mIoU", "images_per_second")}

    def written(row: dict[str, Any], name: str) -> str:
        text = cell(name, row[name])
        if name != "target":
            return _data(escape(text), best=bool(text) and text == best.get(name))
        mark = f"<sup>{notes.index(row['note']) + 1}</sup>" if row["note"] else ""
        return _data(f"{_name(text, numbers[text])}{mark}")

    head = "".join(f"<th>{escape(HEADS[name])}</th>" for name in shown)
    lines = "".join(f"<tr>{''.join(written(row, name) for name in shown)}</tr>" for row in table)
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    under = f'<ol class="notes">{listed}</ol>' if notes else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>{under}'


def _data(content: str, *, best: bool = False) -> str:
    """One cell."""
    kind = ' class="best"' if best else ""
    return f"<td{kind}>{content}</td>"


def _best(table: list[dict[str, Any]], name: str) -> str | None:
    """The greatest value as it is shown; None where all look the same."""
    values = [row[name] for row in table if row[name] is not None]
    return cell(name, max(values)) if len({cell(name, value) for value in values}) > 1 else None


def _plot(report: Report) -> str:
    points = _points(report)
    if not points:
        return '<p class="soft">Nothing was timed.</p>'
    shown = {point.colour for point in points}
    names = "".join(
        f"<li>{_dot(number)}{escape(one.name)}</li>" for number, one in enumerate(report.candidates) if number in shown
    )
    return f'{scatter(points)}<ul class="legend">{names}</ul><p class="soft">The numbers are batch sizes.</p>'


def _points(report: Report) -> list[Point]:
    found = []
    for number, one in enumerate(report.candidates):
        accuracy = one.evaluation.get("mIoU")
        for batch, timing in one.timings.items():
            if accuracy is not None and "images_per_second" in timing:
                found.append(Point(one.name, batch, number, timing["images_per_second"], accuracy))
    return found


def _heat(report: Report) -> str:
    original, *others = [one for one in report.candidates if one.evaluation.get("classes")]
    names = "".join(f"<th>{_name(one.name, report.candidates.index(one))}</th>" for one in (original, *others))
    lines = []
    for place, name in enumerate(report.classes):
        base = _iou(original, place)
        cells = [f"<td>{escape(name)}</td>", f"<td>{cell('mIoU', base)}</td>"]
        for one in others:
            value = _iou(one, place)
            known = value is not None and base is not None
            cells.append(_shaded(value - base if known and value is not None and base is not None else None))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr><th>class</th>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _iou(one: TargetResult, place: int) -> float | None:
    value: float | None = one.evaluation["classes"][place]["IoU"]
    return value


def _shaded(change: float | None) -> str:
    """A cell that is the redder the more is lost, the bluer the more is gained."""
    if change is None:
        return "<td></td>"
    strength = min(1.0, abs(change) / _STRONGEST)
    colour = "213,94,0" if change < 0 else "0,114,178"
    text = cell("delta_mIoU", change)
    return f'<td style="background:rgba({colour},{0.75 * strength:.3f})">{text}</td>'


def _masks(report: Report) -> str:
    shown = [one for one in report.candidates if len(one.samples) == len(report.samples)]
    names = "".join(f"<th>{_name(one.name, report.candidates.index(one))}</th>" for one in shown)
    lines = []
    for place, (name, image, truth) in enumerate(report.samples):
        pictures = [_picture(image, f"{name}"), _picture(truth, f"truth of {name}")]
        pictures += [_picture(one.samples[place], f"{one.name} on {name}") for one in shown]
        lines.append(f"<tr>{''.join(f'<td>{picture}</td>' for picture in pictures)}</tr>")
    return (
        f'<div class="wide masks"><table><thead><tr><th>image</th><th>truth</th>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _classes(report: Report) -> str:
    """The colours of the classes in the masks."""
    entries = [
        f'<li><span class="dot" style="background:rgb{tuple(colour)}"></span>{escape(name)}</li>'
        for name, colour in zip(report.classes, report.palette, strict=False)
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>' if entries else ""


def _picture(path: Path, text: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/jpeg;base64,{data}">'
