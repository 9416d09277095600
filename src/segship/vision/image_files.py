"""Images in folders, found by their suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.vision.formats import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["find_images", "other_files"]


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


def other_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Files inside a folder that `find_images` leaves out because of their suffix.

    Args:
        folder: Is searched to its depth; hidden files are left out.
    """
    return [path for path in _files(Path(folder)) if path.suffix.lower() not in IMAGE_SUFFIXES]


def _files(folder: Path) -> list[Path]:
    """All files in a folder that are not hidden, sorted; links to nothing too, so that whoever reads them says so."""
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file() or _is_lost(path))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from None
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _is_lost(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _inside(folder: Path) -> list[Path]:
    files = [path for path in _files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(f"{folder} holds no image: expected files that end with {' '.join(IMAGE_SUFFIXES)}")
    return files
