"""Files: digests, and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from segship.core.errors import InputError, PackageError, printable
from segship.core.frozen import Count, Frozen
from segship.core.validation import Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DEMO",
    "FileDigest",
    "Sha256",
    "bring_back",
    "cache_folder",
    "digest",
    "file_inside",
    "holds_only",
    "replace_directory",
    "require_apart",
    "require_replaceable",
    "scratch_directory",
    "write_atomically",
]


Sha256 = Annotated[str, Bound(pattern=r"^[0-9a-f]{64}$")]
"""64 hexadecimal digits, small."""

DEMO = Path(__file__).parents[1] / "assets" / "demo"
"""Folder of the bundled network and its scenes: ``images`` and their ``labels``."""


class FileDigest(Frozen):
    """Size in bytes and SHA-256 (hexadecimal) of a file."""

    size: Count
    sha256: Sha256


def cache_folder() -> Path:
    """Return the folder for files that can be made again: ``segship`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segship"


_LONGEST_NAME = 255  # bytes, of every file system in use


def digest(path: Path) -> FileDigest:
    """Return the size and SHA-256 of the file at ``path``."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(size=path.stat().st_size, sha256=sha256)


def file_inside(folder: Path, name: str) -> Path:
    """Find a file that a record of the folder names.

    Args:
        folder: Where it lies.
        name: Relative, with slashes, as the record writes it.

    Returns:
        The path of an existing file.

    Raises:
        PackageError: The name or a link leads out of the folder, or there is no such file.
    """
    inside = PurePosixPath(name)
    lengths = [len(part.encode("utf-8", "surrogatepass")) for part in inside.parts]
    if not name.isprintable() or not lengths or max(lengths) > _LONGEST_NAME:
        raise PackageError(f"{folder} names a file that no system can have ({printable(name)!r:.80}): do not use it")
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or ":" in name:
        raise PackageError(f"{folder} names a file outside itself ({name!r}): do not use it")
    path = folder / inside
    if not path.is_file():
        raise PackageError(f"{folder} is incomplete: {name} is missing; export it again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PackageError(f"{folder} holds a link to a file outside itself ({name}): do not use it")
    return path


def holds_only(directory: Path, names: Collection[str]) -> bool:
    """Return whether nothing lies in ``directory`` but files of these names; not all of them have to be there.

    Args:
        directory: A folder that somebody may keep things of their own in.
        names: Files of a folder that can be made again.
    """
    return all(path.name in names and path.is_file() and not path.is_symlink() for path in directory.iterdir())


def require_apart(written: Iterable[Path | None], read: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, under whatever name: symbolic and hard links are the file that they lead to.

    Args:
        written: Files that will be written; None counts for nothing.
        read: Files that are read; those that are not there, and None, count for nothing.

    Raises:
        InputError: A file is among both.
    """
    there = {_identity(path): path for path in written if path is not None and path.is_file()}
    for path in read if there else ():
        if path is not None and path.is_file() and (over := there.get(_identity(path))):
            name = "" if over == path else f"{path}, which is "
            raise InputError(f"{over} is {name}read, and would be written over: choose another place")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


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
    if destination.is_dir() and destination.samefile("."):
        raise InputError(f"{destination} is the directory you are in, and would be replaced: name one in it")
    if destination.is_dir() and any(destination.iterdir()) and not replaceable(destination):
        raise InputError(f"{destination} exists and holds something else: choose an empty or new directory")


@contextlib.contextmanager
def replace_directory(destination: Path, *, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary sibling of ``destination`` to fill, which takes its place when the block ends without an error.

    An error or an interruption removes the temporary directory and leaves what was at ``destination`` untouched. A
    process that is killed leaves either the older or the newer directory there, whole; the next call removes what else
    it left.

    Args:
        destination: Where the directory shall be.
        replaceable: Tells whether an existing, non-empty directory at ``destination`` may be replaced.

    Yields:
        The temporary directory, empty.

    Raises:
        InputError: Something that may not be replaced is at ``destination``, or the disk is full.
    """
    bring_back(destination)
    require_replaceable(destination, replaceable)
    try:
        with scratch_directory(destination) as temporary:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            require_replaceable(destination, replaceable)
            _swap(temporary, destination)
    except OSError as error:
        raise InputError(f"cannot write {destination}: {error.strerror or error}") from error


@contextlib.contextmanager
def scratch_directory(destination: Path) -> Iterator[Path]:
    """An empty directory beside ``destination``, removed when the block ends.

    What killed processes left beside the same ``destination`` is removed first.

    Args:
        destination: What the work is for; its folder is made if it is not there.

    Yields:
        The directory, on the same file system as ``destination``.

    Raises:
        OSError: The directory cannot be made.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(destination)
    temporary, lock = _locked_sibling(destination)
    try:
        yield temporary
    finally:
        import shutil

        shutil.rmtree(temporary, ignore_errors=True)
        _unlock(lock)


def bring_back(destination: Path) -> None:
    """Put an older directory back that a killed process moved away from ``destination`` and did not replace.

    That happens only on file systems that cannot exchange two directories in one step.
    """
    if os.path.lexists(destination):
        return
    for older in _siblings(destination, _OLDER):
        with contextlib.suppress(OSError):
            older.rename(destination)
            return


# Names of temporary siblings: of directories being filled, and of older ones moved out of the way.
_SCRATCH, _OLDER = "segship-new-", "segship-old-"
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux
_ATTEMPTS = 10


def _siblings(destination: Path, kind: str) -> list[Path]:
    prefix = f".{destination.name}.{kind}"
    try:
        return [path for path in destination.parent.iterdir() if path.name.startswith(prefix)]
    except OSError:
        return []


def _remove_stale(destination: Path) -> None:
    """Remove temporary siblings that no process holds any more."""
    import shutil

    for sibling in _siblings(destination, _SCRATCH) + _siblings(destination, _OLDER):
        lock = _lock(sibling)
        if lock is not None:
            shutil.rmtree(sibling, ignore_errors=True)
            _unlock(lock)


def _locked_sibling(destination: Path) -> tuple[Path, int | None]:
    """A new empty directory and its lock.

    Another process may take it for stale before it is locked; then it holds the lock until the directory is gone.
    """
    import tempfile

    for _ in range(_ATTEMPTS):
        made = Path(tempfile.mkdtemp(prefix=f".{destination.name}.{_SCRATCH}", dir=destination.parent))
        lock = _lock(made, wait=True)
        if made.exists():
            return made, lock
        _unlock(lock)
    raise FileNotFoundError(errno.ENOENT, "temporary directories vanish here", str(destination.parent))


def _lock(directory: Path, *, wait: bool = False) -> int | None:
    """Lock ``directory`` for this process, None where another keeps it or there are no such locks.

    The lock goes with the process, however it ends.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _swap(temporary: Path, destination: Path) -> None:
    """Put ``temporary`` in the place of ``destination``; an older directory takes the place of ``temporary``."""
    for _ in range(_ATTEMPTS):  # another process may put a directory there in between
        if destination.exists() and _exchange(temporary, destination):
            return
        with contextlib.suppress(OSError):
            if not destination.exists():
                temporary.rename(destination)
                return
            _swap_in_two_steps(temporary, destination)
            return
    temporary.rename(destination)


def _exchange(temporary: Path, destination: Path) -> bool:
    """Exchange two directories in one step; False where the system cannot."""
    import ctypes  # a mask needs none

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    return rename is not None and not rename(_HERE, os.fsencode(temporary), _HERE, os.fsencode(destination), _EXCHANGE)


def _swap_in_two_steps(temporary: Path, destination: Path) -> None:
    import shutil
    import tempfile

    older = Path(tempfile.mkdtemp(prefix=f".{destination.name}.{_OLDER}", dir=destination.parent))
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


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write ``data`` to ``path`` so that the file is either whole or as it was before.

    Args:
        path: Where to; its folder is made if need be.
        data: All of it, or piece by piece.

    Raises:
        InputError: The file cannot be written: no room, no permission.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".segship-{os.urandom(8).hex()}"
        with temporary.open("xb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
