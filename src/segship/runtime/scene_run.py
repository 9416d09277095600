"""One pass over a raster: a thread reads ahead, others prepare windows and run the engines, another decides."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from segship.runtime.logits_store import LogitsStore
from segship.runtime.overlap import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.rasters.source import Raster
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


@dataclass(frozen=True, eq=False)
class _Window:
    """A window that was read.

    Attributes:
        view: Number of the view that sees it.
        key: Its line and column in the view's grid.
        pixels: What there is of it; None: nothing.
        last: Whether it is the last of its view that the rectangle brings.
    """

    view: int
    key: Key
    pixels: NDArray[Any] | None
    last: bool


class Run:
    """Rectangles of a raster, decided one after the other.

    Args:
        views: Everything that sees it.
        raster: Opened.
        at_once: How many runs of the engines go on at the same time.
        decide: Called with the place of a rectangle, the stored logits of each view, and which of its pixels have a
            value, where some have not.
        progress: Called with (windows done, all windows).
    """

    def __init__(
        self,
        views: Sequence[SceneView],
        raster: Raster,
        at_once: int,
        decide: Callable[[Place, Sequence[LogitsStore], NDArray[np.bool_] | None], T],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._views, self._raster, self._decide, self._progress = views, raster, decide, progress
        self._at_once = at_once
        self._readers = [view.reader() for view in views]
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
            read = _ahead(reading, self._jobs(places, seen))
            arriving = opened.enter_context(contextlib.closing(in_order(_call, self._batches(read), self._at_once)))
            waiting: deque[Any] = deque()
            for number, place in enumerate(places):
                for store, parts in zip(stores, seen, strict=True):
                    self._fill(store, len(parts[number].fresh), arriving)
                waiting.append(deciding.submit(self._decide, place, stores, next(arriving)()))
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
        for number, place in enumerate(places):
            blocks = [parts[number].block for parts in seen]
            ranges = [reader.rows(*_lines(block)) for reader, block in zip(self._readers, blocks, strict=True)]
            rows = slice(min(one.start for one in ranges), max(one.stop for one in ranges))
            for view, parts in enumerate(seen):
                fresh = parts[number].fresh
                for key in fresh:
                    yield partial(self._read, view, rows, key, last=key == fresh[-1])
            yield partial(self._valid, place)

    def _read(self, view: int, rows: slice, key: Key, *, last: bool) -> _Window:
        self._readers[view].hold(rows)
        return _Window(view, key, self._readers[view].pixels(*key), last)

    def _valid(self, place: Place) -> Callable[[], NDArray[np.bool_] | None]:
        found = self._raster.valid(*place)
        return lambda: found

    def _batches(self, read: Iterator[Any]) -> Iterator[Callable[[], Any]]:
        """What the engines do, in order: windows of a rectangle, as many at once as an engine takes."""
        waiting: list[_Window] = []
        for one in read:
            if not isinstance(one, _Window):
                yield one
                continue
            waiting.append(one)
            if one.last or len(waiting) == self._views[one.view].batch:
                yield partial(self._see, one.view, waiting)
                waiting = []

    def _see(self, view: int, windows: list[_Window]) -> list[tuple[Key, NDArray[np.float32]]]:
        found = self._views[view].logits(self._readers[view], [window.pixels for window in windows])
        return [(window.key, logits) for window, logits in zip(windows, found, strict=True)]

    def _fill(self, store: LogitsStore, count: int, arriving: Iterator[Callable[[], Any]]) -> None:
        """Keep the logits of the next windows as they arrive."""
        while count:
            batch = next(arriving)()
            for key, logits in batch:
                store.put(key, logits)
            count -= len(batch)
            self._step(len(batch))

    def _step(self, windows: int) -> None:
        self._done += windows
        if self._progress is not None:
            self._progress(self._done, self._all)


def _call(job: Callable[[], T]) -> T:
    return job()


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
