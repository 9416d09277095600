"""Work ahead of its user in threads of its own, a bounded number of results at most."""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future

__all__ = ["ahead", "emptying", "in_order"]

T = TypeVar("T")
R = TypeVar("R")

_WAIT = 0.1  # seconds between two looks at whether anybody still wants results
_PATIENCE = 10  # seconds: a camera that says nothing must not hold the program


class _End:
    """What ends the queue: no more items, or an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Maker(Generic[T]):
    """Makes items in a thread until nobody wants them."""

    def __init__(self, items: Iterable[T], most: int) -> None:
        self._items = items
        self._stop = threading.Event()
        self.waiting: queue.Queue[T | _End] = queue.Queue(most)
        self._thread = threading.Thread(target=self._work, daemon=True, name="segship-ahead")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE)

    def _put(self, item: T | _End) -> None:
        while not self._stop.is_set():
            try:
                self.waiting.put(item, timeout=_WAIT)
            except queue.Full:
                continue
            break

    def _work(self) -> None:
        made = iter(self._items)
        try:
            while not self._stop.is_set():
                self._put(next(made))
        except StopIteration:
            self._put(_End())
        except BaseException as error:  # noqa: BLE001  (it is raised where the item would be)
            self._put(_End(error))
        finally:
            if close := getattr(made, "close", None):
                close()


def ahead(items: Iterable[T], most: int = 2) -> Generator[T, None, None]:
    """Yield the items in order; the next ones are made in a thread while the caller works on one.

    Args:
        items: What is made; it is only touched by the thread, and closed by it.
        most: How many finished items may wait.

    Yields:
        The items. An error of theirs is raised when its place comes.
    """
    maker = _Maker(items, most)
    try:
        while not isinstance(item := maker.waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        maker.stop()


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[Callable[[], R], None, None]:
    """Work on several items at the same time.

    Args:
        work: Called in a thread.
        items: Taken one after the other, by the caller's thread.
        threads: How many items are worked on at once; as many more may wait to be taken.

    Yields:
        For each item, in order, what returns its result, waits for it, or raises its error.
    """
    from concurrent.futures import ThreadPoolExecutor  # brings logging, and one image alone needs no threads

    with ThreadPoolExecutor(threads, "segship-work") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) >= 2 * threads:
                    yield begun.popleft().result
            while begun:
                yield begun.popleft().result
        finally:
            for left in begun:
                left.cancel()


def emptying(items: list[T]) -> Generator[T, None, None]:
    """Yield the items in order, and take each out of the list, which holds it no longer.

    Args:
        items: Emptied from the front.
    """
    while items:
        yield items.pop(0)
