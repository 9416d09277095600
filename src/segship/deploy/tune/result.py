"""What tuning found: each candidate with its figures, the Pareto front, and the one that is chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from segship.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segship.runtime.package import Package

__all__ = ["PREFERENCES", "Prefer", "Timing", "Tried", "Tuning", "choose", "pareto_front", "read_prefer"]

Prefer: TypeAlias = Literal["speed", "size", "accuracy"]
PREFERENCES: tuple[str, ...] = get_args(Prefer)

_NOISE = 0.02  # of times and memory: what is nearer counts as the same
_SAME_POINTS = 0.05  # of mIoU, or of the labels that are kept
_GOOD_POINTS = 0.1  # of mIoU: what a preference for accuracy takes for the same


@dataclass(frozen=True)
class Timing:
    """From a decoded image to its mask.

    Attributes:
        milliseconds: Median.
        low, high: Quartiles.
        ratio: Of the first candidate's time in the same run: below 1 is faster.
        runs: How many there were.
    """

    milliseconds: float
    low: float
    high: float
    ratio: float
    runs: int


@dataclass(frozen=True)
class Tried:
    """One candidate.

    Attributes:
        target: Engine, precision and shape.
        state: ``"passed"`` its gates; ``"refused"`` by one, or by the engine; ``"left out"``, and never built.
        reason: Why it is not among those that passed; empty where it is.
        seconds: What building and measuring it took.
        size: Bytes of the engine's files.
        mIoU: On the labelled images, in percent; None without labels.
        change: Of mIoU against the network itself, in points; None without labels.
        agreement: Share of the pixels that keep the network's label, 0-1.
        kept: How many layers stay in float32.
        times: By threads; 0 stands for the engine's own choice.
        threads: The ones it is fastest with; None: the engine's own choice, or not timed.
        memory: Peak resident memory of a process that does nothing else, in MiB; None: not measured.
        front: Whether nothing else that passed is better in every respect.
    """

    target: str
    state: Literal["passed", "refused", "left out"]
    reason: str = ""
    seconds: float = 0.0
    size: int = 0
    mIoU: float | None = None
    change: float | None = None
    agreement: float | None = None
    kept: int = 0
    times: Mapping[int, Timing] = field(default_factory=dict)
    threads: int | None = None
    memory: float | None = None
    front: bool = False

    @property
    def timing(self) -> Timing | None:
        """The time with the threads that are the fastest."""
        return self.times.get(self.threads or 0)

    @property
    def error(self) -> float:
        """By how much it differs from the network: points of mIoU, or of labels where there is no mIoU."""
        if self.change is not None:
            return abs(self.change)
        return 100 * (1 - (self.agreement if self.agreement is not None else 0.0))

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Tried:
        """Return what `as_dict` wrote."""
        times = {int(threads): Timing(**found) for threads, found in record.get("times", {}).items()}
        return cls(**{**record, "times": times})

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Tuning:
    """What `segship.tune` found.

    Attributes:
        package: What was written.
        chosen: The candidate it is.
        tried: All candidates, in the order in which they were tried.
        settings: What decides the result and what it was found on: machine, versions, images, options, seconds.
        finished: Whether everything was tried; False: the budget was over before.
        report: Folder with ``tune.json``.
        picture: The plot; None where matplotlib is not installed.
    """

    package: Package
    chosen: Tried
    tried: tuple[Tried, ...]
    settings: Mapping[str, Any]
    finished: bool
    report: Path
    picture: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return {
            "settings": dict(self.settings),
            "finished": self.finished,
            "chosen": self.chosen.target,
            "threads": self.chosen.threads,
            "tried": [one.as_dict() for one in self.tried],
        }


def read_prefer(text: str) -> Prefer:
    """Read a preference.

    Raises:
        InputError: There is none of that name.
    """
    if text not in PREFERENCES:
        raise InputError(f"prefer is {text!r:.60}: expected {', '.join(PREFERENCES)}")
    return text  # type: ignore[return-value]


def pareto_front(tried: Sequence[Tried]) -> list[Tried]:
    """Find the candidates that nothing else that passed beats in time, mIoU, size and memory together.

    Args:
        tried: All candidates; those that did not pass or were not timed are never on the front.

    Returns:
        Those on the front, the fastest first.
    """
    passed = _passed(tried)
    front = [one for one in passed if not any(_beats(other, one) for other in passed if other is not one)]
    return sorted(front, key=_milliseconds)


def choose(tried: Sequence[Tried], prefer: Prefer) -> Tried:
    """Choose the candidate to write.

    Args:
        tried: All candidates.
        prefer: ``"speed"``: the fastest; ``"size"``: the smallest; ``"accuracy"``: the one nearest to the network, and
            the fastest of those within a tenth of a point.

    Raises:
        InputError: None passed.
    """
    passed = _passed(tried)
    if not passed:
        reasons = "; ".join(f"{one.target}: {one.reason}" for one in tried if one.reason)
        raise InputError(f"nothing that was tried passes its gates: {reasons or 'no engine works here'}")
    if prefer == "size":
        return min(passed, key=lambda one: (one.size, _milliseconds(one)))
    if prefer == "accuracy":
        best = min(one.error for one in passed)
        passed = [one for one in passed if one.error <= best + _GOOD_POINTS]
    return min(passed, key=_milliseconds)


def _passed(tried: Sequence[Tried]) -> list[Tried]:
    return [one for one in tried if one.state == "passed" and one.timing is not None]


def _beats(one: Tried, other: Tried) -> bool:
    """Not worse in anything by more than noise, and better in something by more."""
    pairs = [(_milliseconds(one), _milliseconds(other), _NOISE), (one.size, other.size, _NOISE)]
    if one.memory is not None and other.memory is not None:
        pairs.append((one.memory, other.memory, _NOISE))
    worse = [mine > yours * (1 + noise) for mine, yours, noise in pairs] + [one.error > other.error + _SAME_POINTS]
    better = [mine < yours * (1 - noise) for mine, yours, noise in pairs] + [one.error < other.error - _SAME_POINTS]
    return any(better) and not any(worse)


def _milliseconds(one: Tried) -> float:
    return one.timing.milliseconds if one.timing is not None else float("inf")
