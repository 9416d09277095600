"""Backends that other distributions bring, as entry points of the group ``segship.backends``."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from segship.core.errors import BackendError, one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "load", "outside", "reason_against"]

GROUP = "segship.backends"
_NAME = re.compile(r"[a-z0-9]+")  # as targets are written


@functools.cache
def outside() -> Mapping[str, tuple[EntryPoint, ...]]:
    """The entry points of each name; one is as it should be."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def reason_against(name: str, own: Collection[str]) -> str | None:
    """Why nothing can be loaded under a name of `outside`; None: it can be tried."""
    points = outside()[name]
    who = " and ".join(sorted(map(_distribution, points)))
    if name in own:
        return f"{who} brings a backend called {name!r}, which stays Segship's own: theirs needs another name"
    if len(points) > 1:
        return f"{who} each bring a backend called {name!r}: uninstall one of them"
    if not _NAME.fullmatch(name):
        return f"{who} brings a backend called {name!r}: names are lower-case letters and digits, as in targets"
    return None


@functools.cache
def load(name: str) -> Any:
    """The backend behind the only entry point of that name.

    Raises:
        BackendError: It cannot be loaded, or is no backend.
    """
    from segship.core.artifacts import BackendInfo  # importing segship alone must import nothing

    (point,) = outside()[name]
    try:
        backend = point.load()
    except Exception as error:  # whatever a stranger's module raises
        raise BackendError(
            f"the backend {name!r} of {_distribution(point)} cannot be loaded ({one_line(error)}): "
            "upgrade or uninstall that"
        ) from error
    missing = [part for part in ("convert", "open", "probe") if not callable(getattr(backend, part, None))]
    if not isinstance(getattr(backend, "INFO", None), BackendInfo):
        missing.insert(0, "INFO, a BackendInfo")
    elif backend.INFO.suffixes and not callable(getattr(backend, "inspect", None)):
        missing.append("inspect, which its suffixes need")
    if missing:
        raise BackendError(f"{point.value} of {_distribution(point)} is no backend: it lacks {', '.join(missing)}")
    return backend


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
