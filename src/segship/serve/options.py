"""What a service is started with."""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.vision.decode import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Limits", "ServeOptions", "may_enter", "read_tokens"]

_MIB = 2**20
_LONGEST_TOKEN_FILE = _MIB
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")


@dataclass(frozen=True)
class Limits:
    """What a client may ask for; every number bounds memory or time.

    Attributes:
        max_pixels: Largest width times height of an image, asked of its header before it is decoded.
        max_body: Bytes of one request's body.
        queue: Requests that wait for a free place; further ones are told to come back (503).
        header_seconds: From the first byte of a request, or a new connection, to the end of its headers.
        body_seconds: From the end of the headers to the end of the body.
        reply_seconds: From the last byte of the reply written to the moment the client has taken it.
        idle_seconds: How long a connection may stay open between two requests.
        connections: Open at a time; a further one ends the one that has said nothing for longest.
        chunks: Of one body that is sent in chunks.
        drain_seconds: How long running requests may take once the service is told to stop.
    """

    max_pixels: int = MAX_PIXELS // 2
    max_body: int = 64 * _MIB
    queue: int = 64
    header_seconds: float = 10
    body_seconds: float = 30
    reply_seconds: float = 60
    idle_seconds: float = 30
    connections: int = 1000
    chunks: int = 65_536
    drain_seconds: int = 30


@dataclass(frozen=True)
class ServeOptions:
    """A service.

    Attributes:
        packages: What it serves: paths, or ``NAME=PATH``; without a name the folder's is taken.
        host: Address to listen at; only this machine reaches the default.
        port: 0: a free one.
        grpc_port: The Open Inference Protocol over gRPC is spoken there; 0: a free one; None: it is not.
        device: As for `segship.Segmentor`.
        threads: Of the engine, for each mask; None: 1.
        at_once: Masks that are made at the same time, over all models; None: cores / threads.
        workers: Processes that share the port.
        token_file: File with a token in each line, one of which a client must send; None: anybody is served.
        cors_origins: Origins whose pages may ask from a browser (``https://example.org``), or ``*``; empty: none but
            the service's own page.
        trust: As for `segship.Segmentor`.
        reload_seconds: How often the packages are looked at for a new version; 0: never.
        limits: What a client may ask for.
    """

    packages: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    device: str | None = None
    threads: int | None = None
    at_once: int | None = None
    workers: int = 1
    token_file: Path | None = None
    cors_origins: tuple[str, ...] = ()
    trust: bool = False
    reload_seconds: float = 2
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for origin in self.cors_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise InputError(f"{origin!r:.80} is no origin: expected https://HOST or https://HOST:PORT, or *")

    @property
    def engine_threads(self) -> int:
        """Threads of the engine for each mask."""
        return self.threads or 1

    @property
    def places(self) -> int:
        """Masks that one process makes at the same time."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.at_once or max(1, cores // (self.engine_threads * self.workers))


def read_tokens(path: Path | None) -> tuple[bytes, ...]:
    """The tokens of a file, one a line; empty lines and those that begin with # are left out.

    Args:
        path: None: there are none.

    Raises:
        InputError: It cannot be read, or holds none.
    """
    if path is None:
        return ()
    try:
        if path.stat().st_size > _LONGEST_TOKEN_FILE:
            raise InputError(f"{path} is no file of tokens: it is larger than 1 MiB")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith(b"#"))
    if not tokens:
        raise InputError(f"{path} holds no token: write one a line")
    return tokens


def may_enter(authorization: bytes, tokens: Sequence[bytes]) -> bool:
    """Return whether a client has one of the tokens.

    Args:
        authorization: What it sent: ``Bearer TOKEN``.
        tokens: Empty: anybody may enter.
    """
    kind, _, token = authorization.partition(b" ")
    # Every token is compared, so that the time says nothing about which one is near.
    matches = [hmac.compare_digest(token.strip(), known) for known in tokens]
    return not tokens or (kind.lower() == b"bearer" and any(matches))
