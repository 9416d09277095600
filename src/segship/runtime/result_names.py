"""What the results of images are called: as the images, in the folders that these lie in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from segship.vision.decode import find_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["name_results", "output_names"]


def output_names(files: Sequence[Path]) -> list[str]:
    """A distinct name for each file: its stem, numbered from the second of the same stem on.

    Args:
        files: Image files.
    """
    return _distinct(file.stem for file in files)


def name_results(paths: Sequence[Path]) -> dict[Path, str]:
    """Name the results of images: the path below the folder that was named, with slashes and without suffix.

    Args:
        paths: Images, and folders that are searched. Of several paths, a folder's own name comes before those of its
            images.

    Returns:
        A distinct name for each image.

    Raises:
        InputError: A path does not exist, or a folder holds no image.
    """
    found: dict[Path, str] = {}
    for path in paths:
        before = f"{path.resolve().name}/" if len(paths) > 1 and path.is_dir() else ""
        for file in find_images([path]):
            inside = file.relative_to(path).with_suffix("").as_posix() if path.is_dir() else file.stem
            found.setdefault(file, before + inside)
    return dict(zip(found, _distinct(found.values()), strict=True))


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered from the second of the same on; some file systems do not tell ``A`` from ``a``."""
    taken: set[str] = set()
    chosen = []
    for name in names:
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        free = next(one for one in itertools.chain([name], numbered) if one.casefold() not in taken)
        taken.add(free.casefold())
        chosen.append(free)
    return chosen
