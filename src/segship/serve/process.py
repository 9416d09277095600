"""The processes of a service."""

from __future__ import annotations

import functools
import os
import signal
import socket
import tempfile
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import uvicorn
from uvicorn.supervisors import Multiprocess

from segship.core.errors import InputError
from segship.serve.app import application
from segship.serve.connections import BoundedProtocol
from segship.serve.outermost import log_as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.serve.options import ServeOptions
    from segship.serve.outermost import Outermost

__all__ = ["listen", "serve", "server"]


def serve(options: ServeOptions, *, listening: Callable[[str], None] | None = None) -> None:
    """Serve packages until SIGINT or SIGTERM comes; running requests are finished first.

    A process that SIGTERM ends so has status 0.

    Args:
        options: What is served, where, and within which limits.
        listening: Called with the address, once the port is the service's own.

    Raises:
        SegshipError: A package cannot be opened.
        InputError: The port is taken, or the address is not this machine's.
    """
    with listen(options) as sock:
        address, port = sock.getsockname()[:2]
        if listening is not None:
            listening(f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}")
        if options.workers == 1:
            _run_alone(server(options), sock)
            return
        with tempfile.TemporaryDirectory(prefix="segship-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # where the workers' figures meet
            config = _config(options, functools.partial(_worker, options))
            Multiprocess(config, [sock]).run()


def _run_alone(service: uvicorn.Server, sock: socket.socket) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    service.run(sockets=[sock])


def _end(*_: Any) -> NoReturn:
    """End with status 0: uvicorn raises a signal again once the service is over, which would be a status of failure."""
    raise SystemExit(0)


def _worker(options: ServeOptions) -> Outermost:
    log_as_json()
    return application(options)


def _config(options: ServeOptions, app: Outermost | Callable[[], Outermost]) -> uvicorn.Config:
    log_as_json()
    limits = options.limits
    return uvicorn.Config(
        app,
        factory=options.workers > 1,
        workers=options.workers,
        http=BoundedProtocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=limits.drain_seconds,
    )


def server(options: ServeOptions) -> uvicorn.Server:
    """A server of one process, to be run with the socket of `listen`.

    Args:
        options: As for `serve`.

    Raises:
        SegshipError: A package cannot be opened.
    """
    return uvicorn.Server(_config(options, application(options)))


def listen(options: ServeOptions) -> socket.socket:
    """The socket of a service.

    Args:
        options: Name its address and port.

    Raises:
        InputError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen at {options.host}:{options.port}: {reason}") from None
