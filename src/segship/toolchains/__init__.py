"""Converters that need a Python environment of their own: one file for each.

A module of this package that defines ``TOOLCHAIN`` is one; nothing else has to be told of it. Its packages never share
an environment with Segship: they are installed into a folder in the user's cache and reached by subprocess.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from segship.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.toolchains.environment import Toolchain

__all__ = ["find_toolchain", "toolchains"]


@functools.cache
def toolchains() -> Mapping[str, Toolchain]:
    """Return all toolchains by name."""
    modules = [importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)]
    every: list[Toolchain] = [module.TOOLCHAIN for module in modules if hasattr(module, "TOOLCHAIN")]
    return {toolchain.name: toolchain for toolchain in every}


def find_toolchain(name: str) -> Toolchain:
    """Return the toolchain called ``name``.

    Raises:
        InputError: There is none; near names are suggested.
    """
    known = toolchains()
    if name not in known:
        raise InputError(f"no environment is called {name!r}, known are {', '.join(known)}.{did_you_mean(name, known)}")
    return known[name]
