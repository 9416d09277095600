"""Which figures are made of the counts, and how: the options of MMSegmentation's evaluator, under its names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, did_you_mean
from segship.reading.options import parse_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FIGURES", "EvalOptions", "read_eval_options"]

FIGURES: Mapping[str, tuple[str, ...]] = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
}
"""Which figures of `segship.metrics.confusion.Scores` go with each of the evaluator's metrics."""

_OLD = {"metric": "iou_metrics", "imgfile_prefix": "output_dir"}  # 0.x's names
_NO_EFFECT = ("collect_device", "efficient_test")  # how to keep memory small, which it is
_EVALUATORS = ("test_evaluator.", "val_evaluator.")  # as in --cfg-options of 1.x


@dataclass(frozen=True)
class EvalOptions:
    """The options of MMSegmentation's evaluator.

    Attributes:
        iou_metrics: ``mIoU`` (IoU and Acc), ``mDice`` (Dice and Acc), ``mFscore`` (Fscore, Precision and Recall).
        nan_to_num: Share that stands for a figure without a meaning, in its mean as well; None: it is left out.
        beta: Weight of recall in Fscore.
        ignore_index: A label whose pixels do not count, beside 255.
        prefix: Stands before the names of the means in JSON, as ``PREFIX/mIoU``; empty: nothing.
        format_only: Count nothing, only write predictions.
        output_dir: Folder for predictions.
    """

    iou_metrics: tuple[str, ...] = tuple(FIGURES)
    nan_to_num: float | None = None
    beta: float = 1
    ignore_index: int | None = None
    prefix: str = ""
    format_only: bool = False
    output_dir: Path | None = None

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that are asked for, each once."""
        return tuple(dict.fromkeys(name for metric in self.iou_metrics for name in FIGURES[metric]))


def read_eval_options(options: Iterable[str]) -> EvalOptions:
    """Read ``["iou_metrics=mIoU,mFscore", "beta=2"]``.

    Args:
        options: ``key=value`` each: the arguments of MMSegmentation's ``IoUMetric``, which ``test_evaluator.`` may
            precede, and 0.x's ``metric`` and ``imgfile_prefix``. The last of equal keys counts.

    Returns:
        The options; what is not named is as in ``IoUMetric``, but for ``iou_metrics``, which are all.

    Raises:
        InputError: A key is unknown, or its value is of the wrong kind.
        ConfigError: There is no ``=``.
    """
    found: dict[str, Any] = {}
    for option in options:
        key, value = parse_option(option)
        name = _name(key, option)
        if name in _READERS:
            found[name] = _READERS[name](name, value)
    return EvalOptions(**found)


def _name(key: str, option: str) -> str:
    for evaluator in _EVALUATORS:
        key = key.removeprefix(evaluator)
    name = _OLD.get(key, key)
    if name not in _READERS and name not in _NO_EFFECT:
        known = (*_READERS, *_OLD, *_NO_EFFECT)
        near = did_you_mean(key, known)
        raise InputError(f"--eval-options {option}: there is no option {key!r}.{near} Known are {', '.join(known)}")
    return name


def _metrics(name: str, value: Any) -> tuple[str, ...]:
    chosen = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for metric in chosen:
        if metric not in FIGURES:
            near = did_you_mean(str(metric), FIGURES)
            raise InputError(f"--eval-options {name}: {metric!r} is none of {', '.join(FIGURES)}.{near}")
    return chosen


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"--eval-options {name} is a number, not {value!r}")
    return value


def _optional_number(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value)


def _label(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"--eval-options {name} is a label, a whole number from 0 on, not {value!r}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"--eval-options {name} is True or False, not {value!r}")
    return value


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "iou_metrics": _metrics,
    "nan_to_num": _optional_number,
    "beta": _number,
    "ignore_index": _label,
    "prefix": lambda _, value: "" if value is None else str(value),
    "format_only": _flag,
    "output_dir": lambda _, value: None if value is None else Path(str(value)),
}
