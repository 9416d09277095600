"""Who may work, and who has to wait: one rule for all models of a process.

As many masks are made at once as there are places. A request that finds none waits in the queue; where the queue is
full it is told to come back. Whoever goes away while waiting leaves the queue.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.serve.models import Model

__all__ = ["BusyError", "Places"]

Result = TypeVar("Result")


class BusyError(Exception):
    """The queue is full.

    Args:
        seconds: When to come back.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__("the service is busy: come back later")
        self.seconds = seconds


class Places:
    """Threads that make masks, and the queue before them.

    Args:
        places: Masks made at once.
        queue: Requests that wait.

    Attributes:
        waiting: Requests in the queue.
        working: Masks being made.
    """

    def __init__(self, places: int, queue: int) -> None:
        # Each place is a thread of its own, and the one that has worked last is the next to work: a lone client's masks
        # are all made by one thread, and engines keep memory for each thread that they have run in.
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"mask-{number}") for number in range(places)]
        self._free = asyncio.Semaphore(places)
        self._places, self._queue = places, queue
        self._seconds = 0.1  # a running mean of what one mask takes
        self.waiting = 0
        self.working = 0

    @property
    def is_full(self) -> bool:
        """Whether a further request would be refused."""
        return self._free.locked() and self.waiting >= self._queue

    def refuse(self) -> NoReturn:
        """Tell somebody to come back.

        Raises:
            BusyError: Always.
        """
        raise BusyError(1 + int(self._seconds * self.waiting / self._places))

    async def run(self, function: Callable[[], Result], model: Model) -> Result:
        """Run a function in one of the places.

        Args:
            function: What is to be done.
            model: Which it uses, until it is done: longer than its request may last.

        Raises:
            BusyError: The queue is full.
        """
        if self.is_full:
            self.refuse()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.working += 1
        model.begin()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        thread = self._threads.pop()
        future = loop.run_in_executor(thread, function)
        # A client that leaves does not stop the engine: its place is free when the engine is done, not before.
        future.add_done_callback(lambda _: self._done(thread, model, loop.time() - begin))
        return await asyncio.shield(future)

    def _done(self, thread: ThreadPoolExecutor, model: Model, seconds: float) -> None:
        self._threads.append(thread)
        self.working -= 1
        model.end()
        self._seconds += (seconds - self._seconds) / 8
        self._free.release()

    def close(self) -> None:
        """Take no further work."""
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)
