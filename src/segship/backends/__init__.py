"""One file for each inference engine, found by its name.

A backend is a module with ``INFO``, ``convert``, ``open`` and ``probe`` (see `segship.core.artifacts.Backend`).
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from segship.core.errors import BackendError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import Backend, FileBackend

__all__ = ["DEFAULT", "backend_names", "backend_of_file", "default_device", "find_backend", "find_file_backend"]

DEFAULT = "onnxruntime"
"""The backend that is taken where none is asked for: the base install brings it."""


def backend_names() -> tuple[str, ...]:
    """Names of all backends, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def find_backend(name: str) -> Backend:
    """The backend called ``name``.

    Raises:
        BackendError: There is none; near names are suggested.
    """
    if name not in backend_names():
        raise BackendError(
            f"no backend is called {name!r}: {', '.join(backend_names())}.{did_you_mean(name, backend_names())}"
        )
    return cast("Backend", importlib.import_module(f"{__name__}.{name}"))


def backend_of_file(path: Path) -> str | None:
    """Name of the backend that opens lone files called like ``path``, or None."""
    return next((name for name in backend_names() if path.suffix.lower() in find_backend(name).INFO.suffixes), None)


def default_device(name: str) -> str:
    """The device that engines of the backend called ``name`` run on where none is named.

    It does not depend on what works here: a GPU that is missing is told, not replaced.

    Raises:
        BackendError: There is no such backend.
    """
    return find_backend(name).INFO.default_device


def find_file_backend(name: str) -> FileBackend:
    """The backend called ``name``, whose engines say of themselves what they take.

    Raises:
        BackendError: There is none.
    """
    return cast("FileBackend", find_backend(name))
