"""Bodies of requests, read within limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

__all__ = ["Bodies", "BodyError", "LeftError"]


class BodyError(Exception):
    """A body is refused.

    Args:
        status: The HTTP status.
        reason: One line for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class LeftError(Exception):
    """The client is gone: nobody waits for a reply."""


class Bodies:
    """Reads the bodies of all requests; together they hold a bounded number of bytes.

    Where they would hold more, the one that has been read for longest ends: it is the slowest.

    Args:
        most: Bytes of one body.
        together: Bytes of all that are being read; at least ``most``.

    Attributes:
        held: Bytes held at the moment.
    """

    def __init__(self, most: int, together: int) -> None:
        self._most, self._together = most, max(most, together)
        self._reading: dict[asyncio.Task[object], bool] = {}  # in the order of their beginning; True: it has to end
        self.held = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            BodyError: It is too large, its length is no number, or the service holds too much.
            LeftError: The client went away.
        """
        self._require_length(scope)
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        self._reading[task] = False
        body = bytearray()
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise LeftError
                part = message.get("body", b"")
                if len(body) + len(part) > self._most:
                    raise BodyError(413, f"the body is larger than the limit of {self._most} bytes")
                body += part
                self.held += len(part)
                if self.held > self._together:
                    self._end_slowest()
                more = message.get("more_body", False)
            return bytes(body)
        except asyncio.CancelledError:
            if not self._reading[task]:
                raise
            task.uncancel()
            raise BodyError(503, "the service holds too many unfinished requests: come back later") from None
        finally:
            del self._reading[task]
            self.held -= len(body)

    def _end_slowest(self) -> None:
        slowest = next((task for task, ends in self._reading.items() if not ends), None)
        if slowest is not None:
            self._reading[slowest] = True
            slowest.cancel()

    def _require_length(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length":
                if not value.isdigit():
                    raise BodyError(400, "Content-Length is not a number")
                if int(value) > self._most:
                    raise BodyError(413, f"the body of {int(value)} bytes is larger than the limit of {self._most}")
