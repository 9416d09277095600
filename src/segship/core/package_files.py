"""The files of a package beside what its manifest says of them."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from segship.core.errors import PackageError
from segship.core.files import digest, file_inside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from segship.core.files import FileDigest

__all__ = ["require_listed", "require_unchanged"]


def require_listed(directory: Path, files: Iterable[str], manifest: str) -> None:
    """Require that no engine reads a file of the folder that no digest guards.

    A file is taken for the engine's where one of the engine's files names it (external data of ONNX), is called like it
    but for its suffix (the weights beside OpenVINO's model), or lies in the same folder of its own (Core ML).

    Args:
        directory: The package's folder.
        files: The engine's, as the manifest lists them.
        manifest: Name of the manifest, which is none of them.

    Raises:
        PackageError: There is such a file; the message names it.
    """
    listed = {directory / name for name in files}
    folders = {directory / PurePosixPath(name).parts[0] for name in files if "/" in name}
    known = {*listed, directory / manifest}
    for path in directory.rglob("*"):
        if path in known or not path.is_file():
            continue
        if not folders.isdisjoint(path.parents) or any(_may_read(file, path) for file in listed):
            raise PackageError(
                f"{directory} holds {path.relative_to(directory)}, which its engine may read and {manifest} does not "
                "list: take it away, or export the package again"
            )


def _may_read(file: Path, other: Path) -> bool:
    """Whether ``other`` is called like one of the engine's files but for its suffix, or is named in it."""
    alike = other.parent == file.parent and other.name.startswith(f"{file.stem}.")
    return alike or _names(file, other.name)


def _names(file: Path, name: str) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, contextlib.closing(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        return data.find(os.fsencode(name)) >= 0


def require_unchanged(directory: Path, name: str, expected: FileDigest) -> None:
    """Require that a file of a package is the one that was written.

    Args:
        directory: The package's folder.
        name: The file's, as the manifest lists it.
        expected: Its digest in the manifest.

    Raises:
        PackageError: It is missing, lies elsewhere, or was changed.
    """
    path = file_inside(directory, name)
    found = digest(path)
    if found != expected:
        raise PackageError(
            f"{path} was changed: {found.size} bytes, SHA-256 {found.sha256[:12]}…, "
            f"expected {expected.size} bytes, {expected.sha256[:12]}…; export the package again"
        )
