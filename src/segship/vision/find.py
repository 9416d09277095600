"""Image files among paths that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["SUFFIXES", "find_images"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings, in any case, by which a folder's images are recognised."""


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Files as they are named, and every image inside the folders that are named.

    Args:
        paths: Files of any suffix, and folders, which are searched to their depth; hidden files are left out.

    Returns:
        Each file once, in the order of ``paths``, a folder's files sorted by path.

    Raises:
        InputError: A path does not exist, or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found.update(dict.fromkeys(_inside(path)))
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"cannot read {path}: no such file or folder")
    return list(found)


def _inside(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from None
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not files:
        raise InputError(f"{folder} holds no image: expected files that end with {' '.join(SUFFIXES)}")
    return files
