"""One file for each inference engine, found by its name; other distributions bring theirs as entry points.

A backend is a module with ``INFO``, ``convert``, ``open`` and ``probe`` (see `segship.core.artifacts.Backend`): here,
or anywhere, named in a distribution's metadata::

    [project.entry-points."segship.backends"]
    acme = "acme_segship.backend"
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from segship.backends import _outside
from segship.core.errors import BackendError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.artifacts import Backend, FileBackend, GraphFormat

__all__ = [
    "DEFAULT",
    "backend_names",
    "backend_of_file",
    "backends",
    "default_device",
    "find_backend",
    "find_file_backend",
    "reference_backend",
    "refused_backends",
    "runs_here",
]

DEFAULT = "onnxruntime"
"""The backend that is taken where none is asked for: the base install brings it."""


def _own() -> tuple[str, ...]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def backend_names() -> tuple[str, ...]:
    """Names of all backends, sorted: Segship's own, and those of other distributions."""
    own = _own()
    return tuple(sorted({*own, *(name for name in _outside.outside() if _outside.reason_against(name, own) is None)}))


def find_backend(name: str) -> Backend:
    """The backend called ``name``, whose file has underscores for hyphens; of two that are called alike, Segship's own.

    Raises:
        BackendError: There is none, near names are suggested; or another distribution's cannot be loaded.
    """
    own = _own()
    if name in own:
        return cast("Backend", importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
    if name not in _outside.outside():
        raise BackendError(
            f"no backend is called {name!r}: {', '.join(backend_names())}.{did_you_mean(name, backend_names())}"
        )
    reason = _outside.reason_against(name, own)
    if reason is not None:
        raise BackendError(reason)
    return cast("Backend", _outside.load(name))


def backends() -> dict[str, Backend]:
    """Every backend that can be loaded, by name."""
    own, refused = _own(), refused_backends()
    return {name: find_backend(name) for name in backend_names() if name in own or name not in refused}


def refused_backends() -> dict[str, str]:
    """Why another distribution's backend cannot be used, by its name; empty where all is well."""
    refused = {}
    for name in _outside.outside():
        reason = _outside.reason_against(name, _own())
        try:
            _ = None if reason else _outside.load(name)
        except BackendError as error:
            reason = str(error)
        if reason:
            refused[name] = reason
    return refused


def runs_here(backend: Backend, options: Mapping[str, object]) -> bool:
    """Whether a device here runs a backend's engine.

    Args:
        backend: Its module.
        options: Of the target, or of the engine.
    """
    if not any(device.usable for device in backend.probe()):
        return False
    return backend.INFO.foreign is None or not backend.INFO.foreign(options)


def default_device(name: str) -> str:
    """The device that engines of the backend called ``name`` run on where none is named.

    It does not depend on what works here: a GPU that is missing is told, not replaced.

    Raises:
        BackendError: There is no such backend.
    """
    return find_backend(name).INFO.default_device


def reference_backend(format: GraphFormat) -> Backend:  # noqa: A002
    """The backend that opens a float32 graph of a format as it stands; what a lower precision costs is measured so.

    Raises:
        BackendError: There is none.
    """
    for backend in backends().values():
        if format in backend.INFO.reference:
            return backend
    raise BackendError(f"no backend opens a graph of the format {format!r} as it stands")


def backend_of_file(path: Path) -> str | None:
    """Name of the backend that opens lone files called like ``path``, or None."""
    return next((name for name, backend in backends().items() if path.suffix.lower() in backend.INFO.suffixes), None)


def find_file_backend(name: str) -> FileBackend:
    """The backend called ``name``, whose engines say of themselves what they take.

    Raises:
        BackendError: There is none.
    """
    return cast("FileBackend", find_backend(name))
