"""Giving layers of a reduced precision back to floating point until a gate holds: the same for every precision."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from segship.backends import find_backend
from segship.quantize.search import search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Engine, Graph, Session
    from segship.core.target import Target
    from segship.quantize import Reduced

    Progress = Callable[[str], None]

__all__ = ["GivingBack"]

_Result = TypeVar("_Result")
_TIMED = 5


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
        self._backend = find_backend(target.backend)

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

        best, _ = search(self._reduced.rank(inputs(), progress), attempt)
        result, failed = best.result
        return best.kept, result, tuple(failed)

    def slowdown(self, kept: tuple[str, ...], image: NDArray[np.float32]) -> float:
        """Measure the time with ``kept`` in floating point as a multiple of the time with nothing.

        Args:
            kept: The layers.
            image: What the engine is given.
        """
        fast, slow = self.time([(), kept], image)
        return slow / fast

    def time(self, choices: Sequence[tuple[str, ...]], image: NDArray[np.float32]) -> list[float]:
        """Measure the time with each choice of layers in floating point: in turns, medians, in seconds.

        Args:
            choices: Layers that stay in floating point.
            image: What the engine is given.
        """
        times: list[list[float]] = [[] for _ in choices]
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch, contextlib.ExitStack() as opened:
            sessions = []
            for number, layers in enumerate(choices):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                engine = self._reduced.build(layers, folder, self._finish)
                sessions.append((engine.inputs[0].name, opened.enter_context(self._backend.open(engine))))
            for _ in range(1 + _TIMED):
                for taken, (name, session) in zip(times, sessions, strict=True):
                    begin = time.perf_counter()
                    session.run({name: image})
                    taken.append(time.perf_counter() - begin)
        return [statistics.median(taken[1:]) for taken in times]

    def _attempt(self, kept: tuple[str, ...]) -> tuple[_Result, list[str]]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            engine = self._reduced.build(kept, Path(folder), self._finish)
            with self._backend.open(engine) as session:
                return self._measure(engine, session)
