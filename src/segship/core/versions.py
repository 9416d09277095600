"""Versions of what is installed, by the distribution that provides a module: its name may be another."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["module_versions"]


def module_versions(modules: Iterable[str]) -> dict[str, str | None]:
    """Return the distributions that provide modules, and their versions.

    Args:
        modules: Names as they are imported: ``"cv2"``, ``"onnxruntime"``.

    Returns:
        Version of each distribution, by its name: ``"opencv-python-headless"``, ``"onnxruntime-gpu"``. A module that
        none provides stands there by its own name, with None.
    """
    found: dict[str, str | None] = {}
    for module in modules:
        # One that is installed as a link to its source lists no modules.
        names = sorted(set(_providers().get(module, ()))) or [module]
        found |= {name: _version(name) for name in names}
    return found


@functools.cache
def _providers() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
