"""The results that a report is made of: each is kept in a file, so that one can be made again without the others."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segship.core.errors import SegshipError
from segship.core.files import write_atomically
from segship.core.plan import Int8
from segship.core.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from segship.report.chips import ChipRow

__all__ = ["ORIGINAL", "Report", "Store", "TargetResult", "now", "rows", "slug"]

ORIGINAL = "PyTorch"
"""Name of the network itself, with which all targets are compared."""


def slug(target: str) -> str:
    """A target as the name of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in target)


class Store:
    """The results of a report that are kept on the disk.

    Args:
        folder: Where they lie.
        redo: Targets whose results are made again.
    """

    def __init__(self, folder: Path, redo: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._redo = redo
        self._fresh: set[Path] = set()

    def get(self, target: str, kind: str, key: Any) -> dict[str, Any] | None:
        """Look up a result of an earlier run with the same key; None where it has to be made.

        Args:
            target: Row.
            kind: Column.
            key: JSON types that decide the result.
        """
        path = self._path(target, kind)
        if target in self._redo and path not in self._fresh:
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept["result"] if isinstance(kept, dict) and kept.get("key") == _digest(key) else None

    def put(self, target: str, kind: str, key: Any, result: dict[str, Any]) -> dict[str, Any]:
        """Keep what was found."""
        path = self._path(target, kind)
        entry = {"key": _digest(key), "when": now(), "result": result}
        write_atomically(path, json.dumps(entry, indent=1, ensure_ascii=False).encode())
        self._fresh.add(path)
        kept: dict[str, Any] = json.loads(json.dumps(result))  # the same now as when it is read again
        return kept

    def cached(self, target: str, kind: str, key: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found before, or what ``make`` finds; an error is told as ``{"error": …}`` and is not kept."""
        known = self.get(target, kind, key)
        if known is not None:
            return known
        try:
            return self.put(target, kind, key, make())
        except SegshipError as error:
            return {"error": str(error)}

    def _path(self, target: str, kind: str) -> Path:
        return self._folder / slug(target) / f"{kind}.json"


def now() -> str:
    """The time, to the minute."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class TargetResult:
    """The results of one target.

    Attributes:
        name: The target, or `ORIGINAL`.
        evaluation: What `segship.evaluation.Evaluation.as_dict` tells, or ``{"error": …}``.
        timings: A measurement for each batch size (`segship.bench.Measurement` as a dictionary), or ``{"error": …}``.
        size: Bytes of the engine's files; None for the network itself.
        labels_equal: Least share of pixels, over the inputs it was verified with, on which it agrees; of int8, the
            share over its calibration images; None: not verified.
        failures: Gates it did not pass.
        error: Why it could not be exported; None: it could.
        samples: A picture of each sample mask.
        device: What it ran on; None: it did not.
        calibration: Of its scores, `segship.core.calibration.Calibration` as JSON types; None: they are not calibrated.
    """

    name: str
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    size: int | None = None
    labels_equal: float | None = None
    failures: tuple[str, ...] = ()
    error: str | None = None
    samples: tuple[Path, ...] = ()
    device: str | None = None
    calibration: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Report:
    """The results of a report.

    Attributes:
        title: The network, for people.
        files: Names of config and checkpoint.
        data: What was evaluated on, for people.
        classes: Name of each class.
        candidates: The network itself first, then the targets.
        machine: Where it was measured.
        when: When it was put together.
        samples: Name, picture and truth of each sample.
        palette: RGB of each class.
        chips: What chips elsewhere returned, of adopted packages.
    """

    title: str
    files: tuple[str, ...]
    data: str
    classes: tuple[str, ...]
    candidates: tuple[TargetResult, ...]
    machine: Mapping[str, Any]
    when: str
    samples: tuple[tuple[str, Path, Path], ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    chips: tuple[ChipRow, ...] = ()


def rows(report: Report) -> list[dict[str, Any]]:
    """The table: a row for each target and batch size; what is not known is None.

    Args:
        report: What was found.
    """
    base = report.candidates[0].evaluation.get("mIoU")
    runs = {timing["run"] for one in report.candidates for timing in one.timings.values() if "run" in timing}
    return [
        _row(one, batch, timing, base, several=len(runs) > 1)
        for one in report.candidates
        for batch, timing in one.timings.items() or [(None, {})]
    ]


def _row(
    one: TargetResult, batch: int | None, timing: Mapping[str, Any], base: float | None, *, several: bool
) -> dict[str, Any]:
    """A target with one batch size; ``base`` is the mIoU of the network itself."""
    figures = {name: one.evaluation.get(name) for name in ("aAcc", "mIoU", "mAcc")}
    change = None if None in {base, figures["mIoU"]} else float(figures["mIoU"] or 0) - float(base or 0)
    latency = timing.get("latency", {})
    error = one.error or one.evaluation.get("error")
    return {
        "target": one.name,
        "device": one.device,
        "batch": batch,
        "input": "x".join(map(str, timing["input"])) if "input" in timing else None,
        **figures,
        "delta_mIoU": None if one.name == ORIGINAL else change,
        "images_per_second": timing.get("images_per_second"),
        "p50_ms": latency.get("p50"),
        "p99_ms": latency.get("p99"),
        "memory_MiB": timing.get("memory"),
        "size_MB": None if one.size is None else one.size / 1e6,
        "labels_equal": one.labels_equal,
        "note": error or "; ".join(_notes(one, timing, change, several=several)),
    }


def _notes(one: TargetResult, timing: Mapping[str, Any], change: float | None, *, several: bool) -> list[str]:
    """What must be known of a row; times of different runs do not compare."""
    notes = [*(one.failures or _beyond_gate(one, change)), *([timing["error"]] if "error" in timing else [])]
    return [*notes, f"timed on {timing['run']}, others in another run"] if several and "run" in timing else notes


def _beyond_gate(one: TargetResult, change: float | None) -> list[str]:
    """That int8, which passed its gate on the calibration images, would not pass it on the data of the report."""
    gate = Int8().drop
    if one.name == ORIGINAL or change is None or abs(change) <= gate or Target.parse(one.name).precision != "int8":
        return []
    return [f"mIoU changes by {change:+.2f} points, beyond the gate of {gate}"]
