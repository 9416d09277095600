"""One pass over a raster: a thread reads ahead, this one runs the engines, another decides."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from segship.runtime.logits_store import LogitsStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.rasters.source import Raster
    from segship.runtime.scene_reader import SceneReader
    from segship.runtime.scene_view import SceneView
    from segship.vision.mosaic import Block

    Key = tuple[int, int]
    Place = tuple[slice, slice]

__all__ = ["Run"]

T = TypeVar("T")
_AHEAD = 4  # windows that are read before the engine wants them
_MEMORY = 2**28  # bytes of logits, of all networks and views


@dataclass(frozen=True, eq=False)
class _Part:
    """What one view sees of a rectangle.

    Attributes:
        block: Its pixels.
        fresh: The windows that no rectangle before it needs.
        leaving: Those that none after it needs.
    """

    block: Block
    fresh: list[Key]
    leaving: list[Key]


class Run:
    """Rectangles of a raster, decided one after the other.

    Args:
        views: Everything that sees it.
        raster: Opened.
        decide: Called with the place of a rectangle, the stored logits of each view, and which of its pixels have a
            value, where some have not.
        progress: Called with (windows done, all windows).
    """

    def __init__(
        self,
        views: Sequence[SceneView],
        raster: Raster,
        decide: Callable[[Place, Sequence[LogitsStore], NDArray[np.bool_] | None], T],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._views, self._raster, self._decide, self._progress = views, raster, decide, progress
        self._done = self._all = 0

    def over(self, places: Sequence[Place], scratch: Path | None) -> Iterator[T]:
        """Decide rectangles.

        Args:
            places: Rows and columns of each, line by line from the left.
            scratch: Folder for logits that find no room in memory.

        Yields:
            What ``decide`` returned of each.
        """
        seen = [_parts([view.block(*place) for place in places]) for view in self._views]
        self._all = sum(len(part.fresh) for parts in seen for part in parts)
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as deciding, ExitStack() as opened:
            room = _MEMORY // len(self._views)
            stores = [opened.enter_context(LogitsStore(view.shape, room, scratch)) for view in self._views]
            arriving = _ahead(reading, self._jobs(places, seen))
            waiting: deque[Any] = deque()
            for number, place in enumerate(places):
                for view, store, parts in zip(self._views, stores, seen, strict=True):
                    self._fill(view, store, parts[number].fresh, arriving)
                waiting.append(deciding.submit(self._decide, place, stores, next(arriving)))
                if number:
                    yield waiting.popleft().result()
                    for store, parts in zip(stores, seen, strict=True):
                        for key in parts[number - 1].leaving:
                            store.drop(key)
            yield waiting.popleft().result()

    def _jobs(self, places: Sequence[Place], seen: Sequence[list[_Part]]) -> Iterator[Callable[[], Any]]:
        """What the reading thread does, in order: the windows that a rectangle brings, then which of its pixels count.

        A file that is stored by rows decodes those of a rectangle once for all views.
        """
        readers = [view.reader() for view in self._views]
        for number, place in enumerate(places):
            ranges = [reader.rows(*_lines(parts[number].block)) for reader, parts in zip(readers, seen, strict=True)]
            rows = slice(min(one.start for one in ranges), max(one.stop for one in ranges))
            for reader, parts in zip(readers, seen, strict=True):
                for key in parts[number].fresh:
                    yield partial(self._read, reader, rows, key)
            yield partial(self._raster.valid, *place)

    def _read(self, reader: SceneReader, rows: slice, key: Key) -> NDArray[Any] | None:
        reader.hold(rows)
        return reader.tensor(*key)

    def _fill(self, view: SceneView, store: LogitsStore, keys: list[Key], arriving: Iterator[Any]) -> None:
        """Run the engine on windows, as many at once as it takes."""
        waiting: list[tuple[Key, NDArray[Any]]] = []
        for key in keys:
            tensor = next(arriving)
            if tensor is None:
                store.put(key, np.zeros(view.shape, np.float32))
                self._step(1)
            else:
                waiting.append((key, tensor))
            if len(waiting) == view.batch or (key == keys[-1] and waiting):
                logits = view.infer([one for _, one in waiting])
                for (place, _), found in zip(waiting, logits, strict=True):
                    store.put(place, found)
                self._step(len(waiting))
                waiting.clear()

    def _step(self, windows: int) -> None:
        self._done += windows
        if self._progress is not None:
            self._progress(self._done, self._all)


def _lines(block: Block) -> tuple[list[int], list[int]]:
    """The lines and the columns of the grid that a block draws on."""
    return sorted({line for line, _ in block.windows}), sorted({column for _, column in block.windows})


def _parts(blocks: Sequence[Block]) -> list[_Part]:
    """When windows are needed for the first time, and for the last."""
    last = {key: number for number, block in enumerate(blocks) for key in block.windows}
    seen: set[Key] = set()
    found = []
    for number, block in enumerate(blocks):
        fresh = [key for key in block.windows if key not in seen]
        seen.update(fresh)
        found.append(_Part(block, fresh, [key for key in block.windows if last[key] == number]))
    return found


def _ahead(pool: ThreadPoolExecutor, jobs: Iterator[Callable[[], Any]]) -> Iterator[Any]:
    """The results of jobs in order, a few of them done before they are asked for."""
    waiting: deque[Any] = deque()
    for job in jobs:
        waiting.append(pool.submit(job))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
