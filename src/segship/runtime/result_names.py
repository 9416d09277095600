"""What the results of images are called: as the images, in the folders that these lie in."""

from __future__ import annotations

import itertools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from segship.runtime.object_store import find_objects
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from segship.runtime.object_store import Place

__all__ = ["name_results", "output_names"]


def output_names(files: Sequence[Path]) -> list[str]:
    """A distinct name for each file: its stem, numbered from the second of the same stem on.

    Args:
        files: Image files.
    """
    return _distinct(file.stem for file in files)


def name_results(paths: Sequence[Path | str]) -> dict[Place, str]:
    """Name the results of images: the path below the folder that was named, with slashes and without suffix.

    Args:
        paths: Images, and folders that are searched; strings are addresses of object stores. Of several paths, a
            folder's own name comes before those of its images.

    Returns:
        A distinct name for each image.

    Raises:
        InputError: A path does not exist, or a folder holds no image.
    """
    found: dict[Place, str] = {}
    for path in paths:
        for file, inside in _inside(path, alone=len(paths) == 1):
            found.setdefault(file, inside)
    return dict(zip(found, _distinct(found.values()), strict=True))


def _inside(path: Path | str, *, alone: bool) -> Iterable[tuple[Place, str]]:
    """The images that a path names, and the paths of their results."""
    if isinstance(path, str):
        images, _ = find_objects(path)
        folder = not any(image.url == path for image in images)
        before = "" if alone or not folder else f"{PurePosixPath(path).name}/"
        return [(image, before + inside) for image, inside in images.items()]
    if not path.is_dir():
        return [(file, file.stem) for file in find_images([path])]
    before = "" if alone else f"{path.resolve().name}/"
    return [(file, before + file.relative_to(path).with_suffix("").as_posix()) for file in find_images([path])]


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
