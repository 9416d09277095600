"""What sessions of all engines share: closing, and a state that one run at a time may use."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from segship.core.artifacts import Session
from segship.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["OpenSession", "Pool"]

State = TypeVar("State")


class OpenSession(Session):
    """A session of a function from inputs to outputs.

    Args:
        title: The engine's name in error messages.
        run: Computes the outputs; called by any number of threads at the same time. Whatever it refers to is freed when
            the session is closed.
        release: Called once when the session is closed, for what Python does not free by itself.
    """

    def __init__(
        self,
        title: str,
        run: Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[np.float32]]],
        release: Callable[[], None] | None = None,
    ) -> None:
        self._title = title
        self._open = [(run, release)]  # emptied by whoever closes the session, in one step

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, float32."""
        try:
            run, _ = self._open[0]
        except IndexError:
            raise BackendError(f"the session of {self._title} is closed: open the package again to run it") from None
        return run(feeds)

    def close(self) -> None:
        """Free the engine's memory; runs under way end as they would have."""
        with contextlib.suppress(IndexError):
            _, release = self._open.pop()
            if release is not None:
                release()


class Pool(Generic[State]):
    """States of an engine that hold one run each: requests, interpreters, contexts.

    Args:
        make: Makes a state.
        most: How many there are at most; where all are lent, runs wait. With 1 it is a lock.
    """

    def __init__(self, make: Callable[[], State], most: int = 1) -> None:
        self._make, self._free = make, [make()]
        self._permits = threading.BoundedSemaphore(most)

    @contextlib.contextmanager
    def lend(self) -> Iterator[State]:
        """A state that no other run has until this context ends."""
        with self._permits:
            try:
                state = self._free.pop()
            except IndexError:
                state = self._make()
            try:
                yield state
            finally:
                self._free.append(state)
