"""One file for each data set's layout: class names, colours, label conventions.

A module of this package that defines ``LAYOUTS`` is a data set, or a few that share their classes; nothing else has
to be told of it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from segship.core.errors import UnsupportedError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.datasets.layout import Layout

__all__ = ["find_layout", "layout_of_mmseg_type", "layouts"]


@functools.cache
def layouts() -> Mapping[str, Layout]:
    """All data sets by name, as ``pascal_context_59``.

    Raises:
        ValueError: Two files define the same name.
    """
    found: dict[str, Layout] = {}
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        for name, layout in getattr(module, "LAYOUTS", {}).items():
            if name in found:
                raise ValueError(f"two data sets are called {name!r}")
            found[name] = layout
    return found


def find_layout(name: str) -> Layout:
    """The data set called ``name``.

    Raises:
        UnsupportedError: There is none; near names are suggested.
    """
    known = layouts()
    if name not in known:
        raise UnsupportedError(
            f"no data set is called {name!r}.{did_you_mean(name, known)} Known are {', '.join(sorted(known))}"
        )
    return known[name]


def layout_of_mmseg_type(type_name: str) -> Layout | None:
    """The data set that MMSegmentation's class ``type_name`` reads, or None."""
    return next((layout for layout in layouts().values() if type_name in layout.mmseg_types), None)
