"""What a training run noted: one JSON object a line, as mmengine (1.x) and mmcv's text logger (0.x) write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Curve", "Run", "read_log"]

_POSITIONS = {"step", "iter", "epoch"}
_MAXIMUM_BYTES = 2**30
_PERCENT = 100
_MEANS = {"aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"}


@dataclass(frozen=True)
class Curve:
    """One quantity over the training.

    Attributes:
        key: Its name in the log: ``"loss"``, ``"mIoU"``.
        steps: Iterations after which it was noted, ascending as the log is.
        values: What was noted; may hold NaN and infinity.
    """

    key: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        path: The log.
        curves: By key, in the order in which they first occur.
        broken: How many lines could not be read: usually the last one of a run that was killed.
    """

    path: Path
    curves: Mapping[str, Curve]
    broken: int = 0

    @property
    def name(self) -> str:
        """The log's name, or its folder's where all logs are called ``scalars.json``."""
        if self.path.stem != "scalars":
            return self.path.name.removesuffix(".json").removesuffix(".log")
        # work_dirs/NAME/TIME/vis_data/scalars.json
        folder = self.path.absolute().parent
        return folder.parent.name if folder.name == "vis_data" else folder.name

    def curve(self, key: str) -> Curve:
        """Return the curve called ``key``.

        Args:
            key: As the log names it: ``loss``, ``mIoU``, ``lr``.

        Returns:
            Its points.

        Raises:
            InputError: There is none.
        """
        if key not in self.curves:
            known = ", ".join(self.curves)
            raise InputError(f"{self.path} notes no {key!r}.{did_you_mean(key, self.curves)} It notes {known}")
        return self.curves[key]


def read_log(path: str | Path) -> Run:
    """Read the log of a training run.

    Lines of validation stand at the iteration that training had reached. Runs of 0.x that count iterations from one in
    each epoch are laid end to end, and their accuracies, which are shares, become percent as in 1.x.

    Args:
        path: mmengine's ``.json`` or ``vis_data/scalars.json``, or the ``.log.json`` of 0.x.

    Returns:
        The run and its curves.

    Raises:
        InputError: It is no such log.
    """
    path = Path(path)
    points: dict[str, tuple[list[int], list[float]]] = {}
    position, broken = _Position(), 0
    for line in _lines(path):
        entry = _entry(line)
        if entry is None:
            broken += 1
            continue
        step = position.after(entry)
        for key, value in entry.items():
            if key not in _POSITIONS and isinstance(value, (int, float)) and not isinstance(value, bool):
                steps, values = points.setdefault(key, ([], []))
                steps.append(step)
                values.append(float(value) * (_PERCENT if _is_share(key, entry) else 1))
    if not points:
        raise InputError(f"{path} holds no training log: expected one JSON object a line, with numbers by name")
    curves = {key: Curve(key, tuple(steps), tuple(values)) for key, (steps, values) in points.items()}
    return Run(path, curves, broken)


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".log" and path.is_file():
        raise InputError(f"{path} is the log for people: give the .json that lies beside it")
    try:
        if path.stat().st_size > _MAXIMUM_BYTES:
            raise InputError(f"{path} is larger than any training log")
        with path.open(encoding="utf-8") as file:
            yield from (line for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _is_share(key: str, entry: Mapping[str, Any]) -> bool:
    """Whether ``key`` is a share of one: what validation notes in 0.x."""
    return entry.get("mode") == "val" and (key in _MEANS or key.partition(".")[0] in {"IoU", "Acc", "Dice"})


class _Position:
    """Counts iterations along a log."""

    def __init__(self) -> None:
        self._step = 0
        self._epoch_start = 0
        self._last_iteration = 0

    def after(self, entry: Mapping[str, Any]) -> int:
        """The iteration at which ``entry`` was noted."""
        step, iteration = entry.get("step"), entry.get("iter")
        if isinstance(step, int) and step > 0:
            self._step = step
        elif "step" not in entry and isinstance(iteration, int) and entry.get("mode") != "val":
            if iteration <= self._last_iteration:
                self._epoch_start += self._last_iteration
            self._last_iteration = iteration
            self._step = self._epoch_start + iteration
        return self._step
