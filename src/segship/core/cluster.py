"""A cluster of Ray's, connected to for as long as some work takes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from segship.core.errors import BackendError, MissingExtraError, one_line
from segship.core.processor import processors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LOCAL", "connected", "load_ray"]

LOCAL = "local"
"""In place of an address: a cluster is started on this machine, and ends with the work."""

_MANY_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0, and Ray listens at 127.0.0.1 alone, on every system
_PATIENCE = "RAY_worker_register_timeout_seconds"
_SECONDS = "300"  # a machine that is busy starts a process of Python in more than the minute that Ray waits
_NICENESS = "RAY_worker_niceness"  # 15 without it, and any other work on the machine comes first
_OBJECT_STORE = 100 << 20  # bytes; images do not pass through it


def load_ray(what: str) -> Any:
    """Return the module ``ray``, with its reports to its makers switched off.

    Args:
        what: What needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it tells each user of its next release
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError(what, "ray", "ray") from error


_apart = False
"""Whether processes that start now belong to a group of their own."""


@functools.cache
def _watch_forks() -> None:
    # Ray starts its own by a function that runs after the fork, so that Python calls this in them, too.
    os.register_at_fork(after_in_child=lambda: os.setpgid(0, 0) if _apart else None)


@contextlib.contextmanager
def _groups_of_their_own() -> Iterator[None]:
    """A signal to this process's group (`timeout`'s, for one) must not end the cluster before its work is done."""
    global _apart  # noqa: PLW0603  (what runs after a fork has no arguments)
    if not hasattr(os, "register_at_fork"):
        yield
        return
    _watch_forks()
    _apart = True
    try:
        yield
    finally:
        _apart = False


@contextlib.contextmanager
def connected(address: str, what: str) -> Iterator[Any]:
    """Connect to a cluster, or start one.

    Args:
        address: ``HOST:PORT``, ``auto`` or ``ray://…``; ``local``: start one on this machine.
        what: What needs it, as the subject of a sentence.

    Yields:
        The module ``ray``.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: No cluster answers, or it gave up.
    """
    if address == LOCAL:
        os.environ.setdefault(_MANY_MACHINES, "0")
        os.environ.setdefault(_PATIENCE, _SECONDS)
        if hasattr(os, "nice"):
            os.environ.setdefault(_NICENESS, str(os.nice(0)))
    ray = load_ray(what)
    own = (
        {"address": address}
        if address != LOCAL
        else {"num_cpus": processors(), "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    )
    try:
        # The log of the workers is the cluster's: what they have to tell is returned.
        with _groups_of_their_own() if address == LOCAL else contextlib.nullcontext():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # a plain one where the machine is too busy to start a cluster in half a minute
        reason = one_line(error)
        if address == LOCAL:
            raise BackendError(f"Ray does not start a cluster on this machine ({reason})") from error
        raise BackendError(f"no Ray cluster answers at {address!r} ({reason}): --ray local starts one here") from error
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise BackendError(f"Ray gave up: {one_line(error)}") from error
    finally:
        ray.shutdown()
