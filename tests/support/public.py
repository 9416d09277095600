"""The names that the reference shows."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docs_pages import PAGES, names_of


def public() -> dict[str, Any]:
    """What the reference shows: classes and functions, and the methods of the classes that are defined in them."""
    found: dict[str, Any] = {}
    for _, modules in PAGES.values():
        for module in modules:
            for name, _ in names_of(module):
                value = getattr(importlib.import_module(module), name.rpartition(".")[2])
                found[name] = value
                if inspect.isclass(value):
                    found |= {f"{name}.{key}": entry for key, entry in _methods(value)}
    return found


def _methods(value: type) -> list[tuple[str, Any]]:
    plain = [(key, getattr(entry, "__func__", entry)) for key, entry in vars(value).items()]
    return [(key, entry) for key, entry in plain if inspect.isfunction(entry) and not key.startswith("_")]
