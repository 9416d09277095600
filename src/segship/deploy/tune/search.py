"""The candidates of a tuning, built, judged and timed one after the other, within the budget."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from segship.core.artifacts import Session
from segship.core.errors import SegshipError
from segship.core.manifest import is_package
from segship.core.plan import Int8
from segship.core.target import Target
from segship.deploy.ship import ExportOptions, build_package
from segship.deploy.tune.journal import Journal, OutOfTimeError
from segship.deploy.tune.measure import fastest, memory_of, time_packages
from segship.deploy.tune.result import Timing, Tried, pareto_front
from segship.verification.inputs import spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.plan import Embedded
    from segship.deploy.tune.judging import Judging
    from segship.sources import Loaded

__all__ = ["Progress", "Remembered", "Search"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many candidates are done, and how many there are."""

_TIMED = 4  # images that are timed
_QUICK, _FINAL = 0.7, 3.0  # seconds of timing for each candidate and number of threads: at first, and at last
_IN_THE_RUN = 1.6  # what takes more than this multiple of the fastest is not timed again
_KEPT_BACK = 0.15  # share of the budget that is kept for the last timing
_HOPELESS = 4.0  # times the fastest: no precision makes up for that
_LAYERS = 0.05  # share of the budget for timing single layers: whole packages are worth more, and are timed anyway
_OPENING, _ROUNDS = 1.0, 10  # seconds that opening takes, and runs at the least, with those that are not counted


class Search:
    """Builds, judges and times candidates.

    Args:
        loaded: The network.
        journal: What is known already, and the budget.
        judging: Holds masks against the network's.
        embed: The work on images that the engines do themselves.
        tell: Called with what is being done.
    """

    def __init__(
        self, loaded: Loaded, journal: Journal, judging: Judging, embed: tuple[Embedded, ...], tell: Progress
    ) -> None:
        self._loaded, self._journal, self._judging, self._embed, self._tell = loaded, journal, judging, embed, tell
        self._network = Remembered(loaded)
        self._images = [sample.image for sample in spread(judging.samples, _TIMED)]

    def run(self, targets: Sequence[Target]) -> bool:
        """Try what is not known yet.

        Args:
            targets: In the order in which they are tried.

        Returns:
            Whether the budget was enough for all.
        """
        self._tell("running the network itself", 0, len(targets))
        self._judging.begin(self._journal)
        left, done = list(targets), 0
        while left:
            target = left.pop(self._next(left))
            done += 1
            known = self._journal.tried.get(str(target))
            if known is not None and (known.state != "passed" or is_package(self._journal.package(str(target)))):
                continue
            needed = not self._passed()
            if not needed and self._is_over():
                return False
            if reason := self._hopeless(target):
                self._journal.add(Tried(str(target), "left out", reason))
                continue
            try:
                self._journal.add(self._try(target, done - 1, len(targets), needed=needed))
            except OutOfTimeError:
                return False
        return True

    def finish(self, targets: Sequence[Target]) -> list[Tried]:
        """Time what may be the fastest once more, all in turns.

        Args:
            targets: As for `run`.

        Returns:
            What was tried, with the Pareto front marked, then what the budget left out.
        """
        self._time_again(len(targets))
        front = {one.target for one in pareto_front(self._passed())}
        tried = [replace(one, front=one.target in front) for one in self._journal.tried.values()]
        missing = [str(target) for target in targets if str(target) not in self._journal.tried]
        return tried + [Tried(name, "left out", "the budget was over before") for name in missing]

    def _next(self, left: Sequence[Target]) -> int:
        """The place of what is tried next: of those alike in shape and precision, what was the fastest in fp32."""
        alike = [
            place
            for place, target in enumerate(left)
            if (target.precision, target.shape.static is None) == (left[0].precision, left[0].shape.static is None)
        ]
        return min(alike, key=lambda place: self._ratio_in_fp32(left[place]))

    def _ratio_in_fp32(self, target: Target) -> float:
        """The least time of an engine in fp32, as a multiple of the first candidate's; 0 where it is not known."""
        own = [
            min(timing.ratio for timing in one.times.values())
            for one in self._passed()
            if (known := Target.parse(one.target)).backend == target.backend and known.precision == "fp32"
        ]
        return min(own, default=0.0)

    def _passed(self) -> list[Tried]:
        return [one for one in self._journal.tried.values() if one.state == "passed"]

    def _hopeless(self, target: Target) -> str:
        """Why an engine need not be tried again: it was far behind in fp32."""
        ratios = [min(timing.ratio for timing in one.times.values()) for one in self._passed()]
        behind = self._ratio_in_fp32(target) / min(ratios, default=1.0)
        return f"the engine takes {behind:.1f} times as long as the fastest in fp32" if behind > _HOPELESS else ""

    def _is_over(self) -> bool:
        return self._journal.left < self._journal.budget * _KEPT_BACK

    def _try(self, target: Target, done: int, every: int, *, needed: bool) -> Tried:
        begin, name = time.monotonic(), str(target)

        def progress(stage: str) -> None:
            self._tell(f"{name}: {stage}", done, every)
            self._journal.tick()
            if not needed and self._is_over():
                raise OutOfTimeError

        int8 = self._judging.options if target.precision == "int8" else Int8()
        options = ExportOptions(
            target=target,
            embed=self._embed,
            int8=int8,
            layer_timing=min(ExportOptions.layer_timing, _LAYERS * self._journal.budget),
            progress=progress,
        )
        try:
            package = build_package(lambda: self._loaded, self._journal.package(name), options, self._network)
            progress("judging its masks")
            found = self._judging.judge(package)
            if found.state == "passed":
                progress("timing")
                found = self._time(found)
            if found.state == "passed":
                progress("measuring its memory")
                peak = memory_of(self._journal.package(name), self._images, found.threads or 0)
                found = replace(found, memory=peak)
        except SegshipError as error:
            found = Tried(name, "refused", str(error))
        return replace(found, seconds=round(time.monotonic() - begin, 1))

    def _time(self, one: Tried) -> Tried:
        """With each number of threads, beside the first candidate that passed."""
        others = [known.target for known in self._passed() if known.target != one.target][:1]
        packages = {name: self._journal.package(name) for name in (*others, one.target)}
        base = {name: [self._journal.tried[name].threads or 0] for name in others}
        times = time_packages(packages, self._images, seconds=_QUICK, threads=base).get(one.target)
        if not times:
            return replace(one, state="refused", reason="it does not take the calibration images")
        return replace(one, times=times, threads=fastest(times))

    def _time_again(self, every: int) -> None:
        """The first candidate and those near the fastest; the others keep their ratio to the first."""
        passed = self._passed()
        choices = self._finalists(passed)
        if len(choices) < 2:  # noqa: PLR2004
            return
        runs = sum(map(len, choices.values()))
        seconds = max(0.0, min(_FINAL, 0.5 * self._journal.left / runs))
        self._tell(f"timing {len(choices)} packages in turns", every, every)
        packages = {name: self._journal.package(name) for name in choices}
        times = time_packages(packages, self._images, seconds=seconds, threads=choices)
        first = times[passed[0].target][choices[passed[0].target][0]]
        before = passed[0].times[choices[passed[0].target][0]]
        for one in passed:
            scaled = {threads: _scaled(timing, first, before) for threads, timing in one.times.items()}
            found = scaled | times.get(one.target, {})
            self._journal.add(replace(one, times=found, threads=fastest(found)))

    def _finalists(self, passed: Sequence[Tried]) -> dict[str, list[int]]:
        """What is timed again, with the threads to try, as far as there is time: the first, then the fastest."""
        if not passed:
            return {}
        known = {one.target: min(timing.ratio for timing in one.times.values()) for one in passed}
        near = sorted((ratio, name) for name, ratio in known.items() if ratio <= _IN_THE_RUN * min(known.values()))
        names = list(dict.fromkeys([passed[0].target, *(name for _, name in near)]))
        found: dict[str, list[int]] = {}
        left = self._journal.left
        for name in names:
            times = self._journal.tried[name].times
            best = min(timing.milliseconds for timing in times.values())
            choices = sorted(threads for threads, timing in times.items() if timing.milliseconds <= _IN_THE_RUN * best)
            left -= len(choices) * (_OPENING + _ROUNDS * best / 1000)
            if left < 0:
                break
            found[name] = choices
        return found


class Remembered(Session):
    """The network itself, which every candidate is compared with on the same inputs: each is computed once.

    Args:
        loaded: The network.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._known: dict[str, NDArray[np.float32]] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Low-resolution logits of ``feeds["image"]``."""
        from segship.networks.session import EagerSession

        image = feeds["image"]
        key = f"{image.shape} {hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()}"
        if key not in self._known:
            self._known[key] = EagerSession(self._loaded.network).run(feeds)["logits"]
        return {"logits": self._known[key]}


def _scaled(timing: Timing, first: Timing, before: Timing) -> Timing:
    """A time of another run, as it would be in the one in which the first candidate took another time."""
    factor = first.milliseconds / before.milliseconds
    return replace(
        timing, milliseconds=timing.milliseconds * factor, low=timing.low * factor, high=timing.high * factor
    )
