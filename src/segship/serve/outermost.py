"""Around the application: who may come in, what is written down of a request, and what an error looks like."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware

from segship.serve.options import may_enter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from segship.serve.metrics import Metrics
    from segship.serve.options import Limits

__all__ = ["OPEN", "Outermost", "log_as_json", "send_error"]

_LOG = logging.getLogger("segship.serve")
OPEN = frozenset({"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"})
"""What probes ask for: no token is needed."""

_PAGE = ("/", "/page/")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Outermost:
    """ASGI middleware.

    Args:
        application: What is inside.
        tokens: One of which a client must send as ``Authorization: Bearer TOKEN``; empty: anybody may come in. Probes
            and the files of the page need none.
        metrics: Counts each request.
        limits: Within which connections are kept.
        origins: Pages of other origins that may ask, ``*``: all; empty: none.

    Attributes:
        limits: As given.
    """

    def __init__(
        self,
        application: ASGIApp,
        tokens: Sequence[bytes],
        metrics: Metrics,
        limits: Limits,
        origins: Sequence[str] = (),
    ) -> None:
        self.limits = limits
        self._application, self._tokens, self._metrics = application, tuple(tokens), metrics
        # A browser asks without a token whether it may send one, so this stands before the tokens.
        inside = self._enter if tokens else application
        self._inside = _shared(inside, origins) if origins else inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the beginning and end of the service."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        begin = time.perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["segship.request"] = request
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(b"x-request-id", request.encode()), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            await self._inside(scope, receive, reply)
        except Exception:  # noqa: BLE001  (nothing that a client sends ends the service, or shows a stack trace)
            _LOG.exception("a bug", extra={"fields": {"request": request}})
            if not status:
                await send_error(reply, HTTPStatus.INTERNAL_SERVER_ERROR, f"a bug of the service, request {request}")
        finally:
            self._write_down(scope, status, time.perf_counter() - begin)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._may_enter(scope["path"], dict(scope["headers"]).get(b"authorization", b"")):
            await self._application(scope, receive, send)
        else:
            challenge = [(b"www-authenticate", b"Bearer")]
            await send_error(send, HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer TOKEN", challenge)

    def _may_enter(self, path: str, authorization: bytes) -> bool:
        return path in OPEN or path == _PAGE[0] or path.startswith(_PAGE[1]) or may_enter(authorization, self._tokens)

    def _write_down(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        model = scope.get("segship.model", "")
        self._metrics.count(route, model, status, seconds)
        fields = {
            "request": scope["segship.request"],
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "route": route,
            "model": model,
            "status": status,  # 0: the client went away
            "ms": round(1000 * seconds, 2),
        }
        _LOG.info("request", extra={"fields": fields})


async def send_error(send: Send, status: int, reason: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Reply with ``{"error": reason}``.

    Args:
        send: Of the request.
        status: HTTP status.
        reason: One line, without anything of the machine's.
        headers: Further ones.
    """
    body = json.dumps({"error": reason}).encode()
    length = (b"content-length", str(len(body)).encode())
    start = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": int(status), "headers": start})
    await send({"type": "http.response.body", "body": body})


def _shared(inside: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """What pages of other origins may ask, too."""
    return CORSMiddleware(
        inside,
        allow_origins=origins,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type", "x-request-id", "inference-header-content-length"),
        expose_headers=("x-request-id", "x-image-width", "x-image-height", "inference-header-content-length"),
    )


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


def log_as_json() -> None:
    """Write what the service and its server have to say to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    for name in ("segship.serve", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
