"""Connections that end in time, whatever a client does: uvicorn's own protocol waits for slow ones for ever."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from segship.serve.options import Limits

__all__ = ["BoundedProtocol"]

_LONGEST_HEADERS = 65_536  # bytes of a request's line and headers
_LINGERING_SECONDS = 2  # to take what a refused client was still sending, or the refusal is lost on the way


class BoundedProtocol(HttpToolsProtocol):
    """One connection, within the ``limits`` of its application."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits: Limits = self.app.limits
        self._deadline: asyncio.TimerHandle | None = None
        self._in_headers = False
        self._header_bytes = 0
        self._chunks = 0
        self._refused = False
        self.opened = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the next word is the client's: no whole request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; where too many are open, the one that has kept the service waiting for longest ends."""
        super().connection_made(transport)
        self._expect(self._limits.header_seconds)
        if len(self.connections) > self._limits.connections:
            others = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.is_waiting]
            min(others, key=lambda one: one.opened).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless the connection was refused or its headers never end."""
        if self._refused:
            return
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > _LONGEST_HEADERS:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are longer than 64 KiB")
                return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg.rstrip("."))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_headers, self._header_bytes, self._chunks = True, 0, 0
        self._expect(self._limits.header_seconds)

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._in_headers = False
        self._expect(self._limits.body_seconds)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A further chunk of the body."""
        self._chunks += 1
        if self._chunks > self._limits.chunks and not self._refused:
            self._refuse(HTTPStatus.BAD_REQUEST, f"the body has more than {self._limits.chunks} chunks")

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._expect(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The reply is written, which does not mean that the client has taken it."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._expect(self._limits.reply_seconds)

    def pause_writing(self) -> None:
        """The client takes the reply more slowly than it is written."""
        super().pause_writing()
        self._expect(self._limits.reply_seconds)

    def _expect(self, seconds: float | None) -> None:
        """Set or lift the deadline of what comes next."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        cycle = self.cycle
        unfinished = cycle is not None and cycle.more_body and not cycle.response_started
        if not self._refused and (self._in_headers or unfinished):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")
        else:
            self.transport.abort()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer without the application, and close once the client had time to hear it."""
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        body = json.dumps({"error": reason}).encode()
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self._expect(_LINGERING_SECONDS)
