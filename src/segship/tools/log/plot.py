"""Training curves as a picture: several runs and several quantities, like beside like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, did_you_mean
from segship.tools.extras import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.tools.log.read import Curve, Run

__all__ = ["plot"]

_USUAL = ("loss", "mIoU")
_FORMATS = (".png", ".svg", ".pdf")
_PERCENT = {"mIoU", "mAcc", "aAcc", "mDice", "mFscore", "mPrecision", "mRecall"}
_STYLES = {name: f"seaborn-v0_8-{name}" for name in ("white", "dark", "whitegrid", "darkgrid", "ticks")}
_MOST_MARKED = 60
_WIDTH, _HEIGHT = 8.0, 3.2


def plot(
    runs: Sequence[Run],
    out: str | Path,
    keys: Sequence[str] = (),
    *,
    legend: Sequence[str] = (),
    style: str = "whitegrid",
    title: str = "",
) -> Path:
    """Draw the curves of one or more runs.

    Quantities of one kind share a panel: percentages, losses; every other quantity has its own. All panels share the
    axis of iterations.

    Args:
        runs: What `read_log` read.
        out: ``.png``, ``.svg`` or ``.pdf``.
        keys: Quantities to draw; none: ``loss`` and ``mIoU``, or whichever of the two was noted.
        legend: A name for each curve, run by run and in the order of ``keys``; none: made of the runs' names.
        style: ``whitegrid``, ``darkgrid``, ``white``, ``dark``, ``ticks``, or any style of matplotlib.
        title: Above the picture.

    Returns:
        The file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: A run has no such quantity, the names are too few or too many, or the file cannot be written.
    """
    require("Drawing curves", "plots", "matplotlib")
    out = Path(out)
    if out.suffix not in _FORMATS:
        raise InputError(f"{out} ends with {out.suffix or 'nothing'}: expected {', '.join(_FORMATS)}")
    chosen = list(keys) or _usual(runs)
    names = list(legend) or _names(runs, chosen)
    if len(names) != len(runs) * len(chosen):
        raise InputError(
            f"{len(names)} names are given for {len(runs) * len(chosen)} curves: "
            f"one for each of {', '.join(chosen)} of each run"
        )
    curves = [(name, run.curve(key)) for name, (run, key) in zip(names, _every(runs, chosen), strict=True)]
    _draw(curves, out, _style(style), title)
    return out


def _every(runs: Sequence[Run], keys: Sequence[str]) -> list[tuple[Run, str]]:
    return [(run, key) for run in runs for key in keys]


def _usual(runs: Sequence[Run]) -> list[str]:
    found = [key for key in _USUAL if all(key in run.curves for run in runs)]
    return found or list(_USUAL[:1])


def _names(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    if len(runs) == 1:
        return list(keys)
    return [run.name if len(keys) == 1 else f"{run.name} {key}" for run, key in _every(runs, keys)]


def _style(name: str) -> str:
    import matplotlib.style

    if name in _STYLES:
        return _STYLES[name]
    known = ["default", *matplotlib.style.available]
    if name not in known:
        raise InputError(f"no style is called {name!r}.{did_you_mean(name, [*_STYLES, *known])}")
    return name


def _draw(curves: list[tuple[str, Curve]], out: Path, style: str, title: str) -> None:
    import matplotlib.style
    from matplotlib.figure import Figure  # no display is opened

    panels = list(dict.fromkeys(_panel(curve.key) for _, curve in curves))
    with matplotlib.style.context(style):
        figure = Figure(figsize=(_WIDTH, 1 + _HEIGHT * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for name, curve in curves:
            axis = axes[panels.index(_panel(curve.key))]
            marker = "o" if len(curve.steps) <= _MOST_MARKED else ""
            axis.plot(curve.steps, curve.values, label=name, marker=marker, markersize=3, linewidth=1)
        for axis, panel in zip(axes, panels, strict=True):
            axis.set_ylabel(panel)
            axis.legend()
        axes[-1].set_xlabel("iteration")
        if title:
            figure.suptitle(title)
        _save(figure, out)


def _panel(key: str) -> str:
    if key in _PERCENT or key.startswith(("IoU.", "Acc.")) or key.endswith("acc_seg"):
        return "%"
    return "loss" if "loss" in key else key


def _save(figure: Any, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
