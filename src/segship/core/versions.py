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
    wanted = tuple(modules)
    provided = _providers(frozenset(wanted))
    found: dict[str, str | None] = {}
    for module in wanted:
        # One that is installed as a link to its source lists no modules.
        names = sorted(set(provided.get(module, ()))) or [module]
        found |= {name: _version(name) for name in names}
    return found


@functools.cache
def _providers(wanted: frozenset[str]) -> Mapping[str, list[str]]:
    """Names of the distributions that provide each module, as `importlib.metadata.packages_distributions` tells it.

    That parses all that is told of every distribution, and takes a third of a second where many are installed.
    """
    found: dict[str, list[str]] = {}
    for distribution in importlib.metadata.distributions():
        for module in wanted & _modules(distribution):
            found.setdefault(module, []).append(distribution.metadata["Name"])
    return found


def _modules(distribution: importlib.metadata.Distribution) -> set[str]:
    """Names at the top of a distribution: as it declares them, or of the folders and files that it lists."""
    declared = distribution.read_text("top_level.txt")
    if declared is not None and declared.strip():
        return set(declared.split())
    heads = {line.partition("/")[::2] for line in (distribution.read_text("RECORD") or "").splitlines()}
    return {head if rest else head.partition(".")[0] for head, rest in heads}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
