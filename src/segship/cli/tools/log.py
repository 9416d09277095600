"""``segship tools log``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segship.cli.options import JsonFile, keep_apart, read_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.tools.log import Curve, Run

__all__ = ["log"]


def log(
    logs: Annotated[list[Path], typer.Argument(help="Logs: mmengine's .json or scalars.json, .log.json of 0.x.")],
    keys: Annotated[
        list[str] | None, typer.Option(metavar="K,K,…", help="Quantities, as mIoU,mAcc or lr. Default: loss and mIoU.")
    ] = None,
    legend: Annotated[
        list[str] | None,
        typer.Option(metavar="N,N,…", help="A name for each curve, run by run in the order of the keys."),
    ] = None,
    style: Annotated[
        str, typer.Option(help="whitegrid, darkgrid, white, dark, ticks, or a style of matplotlib.")
    ] = "whitegrid",
    title: Annotated[str, typer.Option(help="Above the picture.")] = "",
    out: Annotated[Path | None, typer.Option(help="Picture to write: .png, .svg or .pdf. Default: none.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Draw the curves of one or more training runs, and tell the last and the best of each."""
    from segship.cli import output
    from segship.tools.log import plot, read_log

    for written in (out, json_file):
        keep_apart(written, *logs)
    runs = [read_log(path) for path in logs]
    wanted, names = read_names(*(keys or ())), read_names(*(legend or ()))
    for run in runs:
        for key in wanted:
            run.curve(key)
    if out is not None:
        plot(runs, out, wanted, legend=names, style=style, title=title)
    output.write_json(json_file, [_as_dict(run) for run in runs])
    if not output.is_standard_output(json_file):
        for run in runs:
            _tell(run, wanted)
        if out is not None:
            output.say(f"-> {out}")


def _as_dict(run: Run) -> dict[str, Any]:
    curves = {key: {"steps": curve.steps, "values": curve.values} for key, curve in run.curves.items()}
    return {"path": str(run.path), "broken": run.broken, "curves": curves}


def _tell(run: Run, keys: Sequence[str]) -> None:
    from rich.table import Table

    from segship.cli import output

    broken = f", {run.broken} lines could not be read" if run.broken else ""
    table = Table(title=f"{run.path}{broken}")
    table.add_column("quantity", overflow="fold")
    for name in ("points", "last", "at", "least", "at", "greatest", "at"):
        table.add_column(name, justify="right")
    for key in keys or run.curves:
        table.add_row(*_row(run.curves[key]))
    output.show(table)


def _row(curve: Curve) -> list[str]:
    points = [(value, step) for value, step in zip(curve.values, curve.steps, strict=True) if math.isfinite(value)]
    row = [curve.key, str(len(curve.values)), f"{curve.values[-1]:.5g}", str(curve.steps[-1])]
    for value, step in (min(points), max(points)) if points else ():
        row += [f"{value:.5g}", str(step)]
    return row
