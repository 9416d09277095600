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
    from pathlib import Path

    from segship.datasets.layout import Layout

__all__ = ["choose_layout", "find_layout", "layout_of_mmseg_type", "layouts"]

_SIZE = "0123456789k"  # at the end of a name: "coco_stuff164k"


@functools.cache
def layouts() -> Mapping[str, Layout]:
    """Return all data sets by name, such as ``pascal_context_59``.

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
    """Return the data set called ``name``.

    Raises:
        UnsupportedError: There is none; near names are suggested.
    """
    known = layouts()
    plain = _plain(name)
    if plain not in known:
        raise UnsupportedError(
            f"no data set is called {name!r}.{did_you_mean(plain, known)} Known are {', '.join(sorted(known))}"
        )
    return known[plain]


def choose_layout(name: str, classes: int, root: Path, split: str) -> Layout:
    """Return the data set called ``name``, or the one of those whose names begin so that fits.

    ``mapillary`` is either version, ``coco_stuff`` either size. What fits has as many classes as the network, and,
    where that is not enough to tell, the folders of ``split`` below ``root``. ``camvid`` is ``camvid_raw`` where only
    the latter's folders are there.

    Args:
        name: Whole or first part of a data set's name; hyphens count as underscores.
        classes: Number of the network's classes.
        root: Folder of the data set.
        split: The part that is wanted.

    Raises:
        UnsupportedError: No data set is called so.
    """
    plain = _plain(name)
    family = [layout for key, layout in layouts().items() if key.startswith(f"{plain}_") or key.rstrip(_SIZE) == plain]
    exact = layouts().get(plain)
    if not family or (exact is not None and _has(exact, root, split)):
        return find_layout(name)
    there = [layout for layout in family if _has(layout, root, split)]
    if exact is not None:
        return [*there, exact][0]
    same = [layout for layout in family if len(layout.classes) == classes] or family
    return next((layout for layout in same if layout in there), same[0])


def _has(layout: Layout, root: Path, split: str) -> bool:
    return split in layout.splits and (root / layout.splits[split].images).is_dir()


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def layout_of_mmseg_type(type_name: str) -> Layout | None:
    """Return the data set that MMSegmentation's class ``type_name`` reads, or None."""
    return next((layout for layout in layouts().values() if type_name in layout.mmseg_types), None)
