"""Giving layers of a reduced precision back to floating point until a gate holds: the same for every precision."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from segship.backends import find_backend
from segship.quantize.search import search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Engine, Graph, Session
    from segship.core.target import Target
    from segship.quantize import Reduced

    Progress = Callable[[str], None]

__all__ = ["GivingBack"]

_Result = TypeVar("_Result")
_TIMED, _CONFIRMING = 5, 10  # rounds, and further ones where a choice of layers seems to save time
_WORTH = 0.02  # share of the time that leaving a kind of layer in floating point must save
_CLEARLY = 0.8  # in this share of the rounds: what else the machine does slows single runs several times over
_WRONG = 2.0  # times the error of all layers in the precision
_AT_ONCE = 4  # engines that are open beside the one with everything in the precision
_LEAST = 0.1  # of the mean of what layers save: a layer that saves nothing is not infinitely dear


class GivingBack(Generic[_Result]):
    """The search for the layers that must stay in floating point.

    Args:
        reduced: The network in the target's precision.
        target: Engine, precision and shape.
        scratch: Folder for engines that are only tried.
        finish: Makes a graph of the precision what the engine is built of.
        measure: Runs an opened engine; what it found, and what does not pass, in words.
        progress: Called with what is being done.
    """

    def __init__(
        self,
        reduced: Reduced,
        target: Target,
        scratch: Path,
        finish: Callable[[Graph], Graph],
        measure: Callable[[Engine, Session], tuple[_Result, list[str]]],
        progress: Progress,
    ) -> None:
        self._reduced, self._target, self._scratch, self._finish = reduced, target, scratch, finish
        self._measure, self._progress = measure, progress
        self._unpaid: tuple[str, ...] = ()
        self._saved: dict[str, float] = {}  # seconds that the precision saves in each layer, where that is known
        self._backend = find_backend(target.backend)

    def leave_unpaid(self, image: NDArray[np.float32], longest: float) -> tuple[tuple[str, ...], float]:
        """Find the layers that the precision makes slower, and leave them in floating point from now on.

        The network is timed with all layers of one kind in floating point and without, in turns, kind by kind: so the
        conversions at the layers' borders count, too. Kinds that have many layers come first. What the engine gets
        wrong so (OpenVINO 2026 does, where DDRNet's sums alone are in floating point) stays as it is, and so does all
        if the layers that were found save nothing together.

        Args:
            image: What the engine is given.
            longest: Seconds; what would not end by then is not begun, and layers that were not timed stay as they are.

        Returns:
            These layers, and the time that is left, as a multiple of the time in floating point alone.
        """
        kinds: dict[str, list[str]] = {}
        for name, kind in self._reduced.kinds.items():
            kinds.setdefault(kind, []).append(name)
        expected = self._race([self._reduced.layers], image)[0].output
        begin, left = time.monotonic(), sorted(kinds.items(), key=lambda each: -len(each[1]))
        last, unpaid = 0.0, []
        while left and (spent := time.monotonic() - begin) + last < longest:
            some, left = left[:_AT_ONCE], left[_AT_ONCE:]
            self._progress(f"timing single layers: {len(kinds) - len(left)} of {len(kinds)} kinds")
            now, *without = self._race([(), *(tuple(layers) for _, layers in some)], image)
            for (_, layers), alone in zip(some, without, strict=True):
                if alone.is_faster(now) and alone.is_as_right(now, expected):
                    unpaid += layers
                else:
                    self._saved |= dict.fromkeys(layers, max(0.0, alone.least - now.least) / len(layers))
            last = time.monotonic() - begin - spent
        now, chosen, whole = self._race([(), tuple(unpaid), self._reduced.layers], image)
        if chosen.is_faster(now) and chosen.is_as_right(now, expected):
            self._unpaid = tuple(unpaid)
            return self._unpaid, chosen.least / whole.least
        return (), now.least / whole.least

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        """Write an engine; as `segship.quantize.Reduced.build`, with what is not worth it in floating point, too."""
        return self._reduced.build(tuple(dict.fromkeys(self._unpaid + kept)), directory, finish)

    def search(
        self, inputs: Callable[[], Sequence[NDArray[np.float32]]]
    ) -> tuple[tuple[str, ...], _Result, tuple[str, ...]]:
        """Find a small number of layers to give back.

        Args:
            inputs: Makes the images to rank the layers on, float32 (1, C, H, W) each, where that is needed.

        Returns:
            The layers; what was measured with them; what does not pass even so, in words.
        """
        precision = self._target.precision
        self._progress(f"measuring {precision}")
        result, failed = self._attempt(())
        if not failed:
            return (), result, ()

        def progress(done: int, every: int) -> None:
            self._progress(f"finding the sensitive layers: {done} of {every}")

        def attempt(kept: tuple[str, ...]) -> tuple[bool, tuple[_Result, list[str]]]:
            every = len(self._reduced.layers)
            self._progress(f"measuring {precision} with {len(kept)} of {every} layers in floating point")
            verdict = self._attempt(kept)
            return not verdict[1], verdict

        best, _ = search(self._in_order(self._reduced.rank(inputs(), progress)), attempt)
        result, failed = best.result
        return best.kept, result, tuple(failed)

    def slowdown(self, kept: tuple[str, ...], image: NDArray[np.float32]) -> float:
        """Measure the time with ``kept`` in floating point as a multiple of the time with nothing.

        Args:
            kept: The layers.
            image: What the engine is given.
        """
        fast, slow = (statistics.median(runs.seconds) for runs in self._race([(), kept], image))
        return slow / fast

    def _in_order(self, ranked: Sequence[tuple[str, float]]) -> list[str]:
        """Layers by the damage that they do for each second that they save; by the damage alone where none is timed."""
        left = [(name, damage) for name, damage in ranked if name not in self._unpaid]
        if not self._saved:
            return [name for name, _ in left]
        damage = dict(left)
        least = max(statistics.fmean(self._saved.values()), 1e-9) * _LEAST
        return sorted(damage, key=lambda name: -damage[name] / (self._saved.get(name, 0.0) + least))

    def _race(self, choices: Sequence[tuple[str, ...]], image: NDArray[np.float32]) -> list[_Runs]:
        """Run the network with each choice of layers in floating point, in turns.

        Args:
            choices: Layers that stay in floating point.
            image: What the engine is given.
        """
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch, contextlib.ExitStack() as opened:
            race = []
            for number, layers in enumerate(choices):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                engine = self.build(layers, folder, self._finish)
                session = opened.enter_context(self._backend.open(engine))
                output = session.run({engine.inputs[0].name: image})[engine.outputs[0].name]
                race.append((_Runs([], output), session, {engine.inputs[0].name: image}))
            for rounds in (_TIMED, _CONFIRMING):
                for _ in range(rounds):
                    for runs, session, feeds in race:
                        begin = time.perf_counter()
                        session.run(feeds)
                        runs.seconds.append(time.perf_counter() - begin)
                if not any(runs.is_faster(race[0][0]) for runs, *_ in race[1:]):
                    break
        return [runs for runs, *_ in race]

    def _attempt(self, kept: tuple[str, ...]) -> tuple[_Result, list[str]]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            engine = self.build(kept, Path(folder), self._finish)
            with self._backend.open(engine) as session:
                return self._measure(engine, session)


@dataclass(frozen=True)
class _Runs:
    """Runs of an engine, in turns with those of others.

    Attributes:
        seconds: Of each run.
        output: What it makes of the image.
    """

    seconds: list[float]
    output: NDArray[Any]

    @property
    def least(self) -> float:
        """The shortest run."""
        return min(self.seconds)

    def is_faster(self, other: _Runs) -> bool:
        """Whether it takes less time, in nearly every round."""
        won = sum(own < its * (1 - _WORTH) for own, its in zip(self.seconds, other.seconds, strict=True))
        return won >= _CLEARLY * len(self.seconds)

    def is_as_right(self, other: _Runs, expected: NDArray[Any]) -> bool:
        """Whether its output is about as near to what is expected as another's."""
        own, its = (float(np.linalg.norm(runs.output - expected)) for runs in (self, other))
        return own <= _WRONG * its
