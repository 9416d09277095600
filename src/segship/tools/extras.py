"""What a tool needs besides the base install, asked for before anything else is done."""

from __future__ import annotations

import importlib

from segship.core.errors import MissingExtraError

__all__ = ["require", "require_torch"]


def require(what: str, extra: str, *modules: str) -> None:
    """Require that all ``modules`` can be imported.

    Args:
        what: What needs them, as the subject of a sentence.
        extra: Extra of Segship's distribution that brings them.
        modules: Their names.

    Raises:
        MissingExtraError: One cannot.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtraError(what, extra, module) from error


def require_torch(what: str) -> None:
    """Require torch, for ``what``.

    Raises:
        MissingExtraError: It is not installed.
    """
    require(what, "export", "torch")
