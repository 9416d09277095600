"""Files: digests, and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.core.spec import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FileDigest", "cache_folder", "digest", "replace_directory", "require_replaceable", "write_atomically"]


class FileDigest(Frozen):
    """Size in bytes and SHA-256 (hexadecimal) of a file."""

    size: int
    sha256: str


def cache_folder() -> Path:
    """Where what can be made again is kept: ``segship`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segship"


def digest(path: Path) -> FileDigest:
    """Size and SHA-256 of the file at ``path``."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(size=path.stat().st_size, sha256=sha256)


def require_replaceable(destination: Path, replaceable: Callable[[Path], bool]) -> None:
    """Raise what `replace_directory` would raise at once; for callers with long work to do before.

    Args:
        destination: Where a directory shall be.
        replaceable: Tells whether an existing, non-empty directory may be replaced.

    Raises:
        InputError: Something that may not be replaced is there.
    """
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise InputError(f"{destination} exists and is not a directory: choose another place")
    if destination.is_dir() and any(destination.iterdir()) and not replaceable(destination):
        raise InputError(f"{destination} exists and holds something else: choose an empty or new directory")


@contextlib.contextmanager
def replace_directory(destination: Path, *, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary sibling of ``destination`` to fill, which takes its place when the block ends without an error.

    An error or an interruption removes the temporary directory and leaves what was at ``destination`` untouched.

    Args:
        destination: Where the directory shall be.
        replaceable: Tells whether an existing, non-empty directory at ``destination`` may be replaced.

    Yields:
        The temporary directory, empty.

    Raises:
        InputError: Something that may not be replaced is at ``destination``, or the disk is full.
    """
    require_replaceable(destination, replaceable)
    temporary = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        yield temporary
        _swap(temporary, destination)
    except OSError as error:
        raise InputError(f"cannot write {destination}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, destination: Path) -> None:
    """Put ``temporary`` in the place of ``destination``; an older directory comes back if that fails."""
    temporary.chmod(0o777 & ~_umask())
    if not destination.exists():
        temporary.rename(destination)
        return
    older = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    destination.rename(older)
    try:
        temporary.rename(destination)
    except BaseException:
        older.rename(destination)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is either whole or as it was before.

    Raises:
        InputError: The file cannot be written: no room, no permission.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
