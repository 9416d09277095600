"""What an engine compiled at an earlier start: kept in the cache folder, under a digest of all that it depends on.

A kept file is an input like any other. The folder belongs to the user alone, or it is not used; each entry holds the
digest of its files, and one that does not fit is thrown away and made again. Entries appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.files import cache_folder, digest
from segship.core.processor import processor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDER", "compiled_folder"]

FOLDER = "compiled"
"""Its name in the cache folder."""

_DIGESTS = "digests.json"
_MAKING = "making-"
_MOST_BYTES, _MOST_ENTRIES = 2 * 2**30, 64
_LARGEST_RECORD = 2**16  # bytes


@contextlib.contextmanager
def compiled_folder(files: str, *parts: object) -> Iterator[Path | None]:
    """The folder for what an engine compiles of one model; kept when the block ends without an error.

    Args:
        files: Digest of the model's files; empty: nothing is kept.
        parts: All else that the result depends on: version of the engine, device, options. The processor is added.

    Yields:
        A folder with what an earlier start compiled, or an empty one; None where nothing can be kept.
    """
    root = _root() if files else None
    if root is None:
        yield None
        return
    told = json.dumps([files, *map(str, parts), str(processor())])
    entry = root / hashlib.sha256(told.encode()).hexdigest()[:32]
    if _is_whole(entry):
        with contextlib.suppress(OSError):
            os.utime(entry)  # the one that was used last goes last
        yield entry
        return
    import shutil
    import tempfile

    try:
        making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=root))
    except OSError:
        yield None
        return
    try:
        yield making
        _keep(making, entry)
        _trim(root, entry)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _root() -> Path | None:
    """The folder of all entries; None where it cannot be had, or others could write into it."""
    root = cache_folder() / FOLDER
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.lstat()
    except OSError:
        return None
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    strange = hasattr(os, "getuid") and (status.st_uid != os.getuid() or others)
    return None if strange or not stat.S_ISDIR(status.st_mode) else root


def _is_whole(entry: Path) -> bool:
    """Whether an entry holds the files that were kept, and no others; one that does not is removed."""
    if not entry.exists() and not entry.is_symlink():
        return False
    with contextlib.suppress(OSError, ValueError):
        record = entry / _DIGESTS
        if not entry.is_symlink() and record.stat().st_size <= _LARGEST_RECORD:
            known = json.loads(record.read_bytes())
            if known == _digests(entry):
                return True
    if entry.is_symlink():
        entry.unlink(missing_ok=True)
    import shutil

    shutil.rmtree(entry, ignore_errors=True)
    return False


def _digests(folder: Path) -> dict[str, str]:
    """The digest of each file by name; a folder or link among them is one that fits nothing."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name != _DIGESTS:
            plain = path.is_file() and not path.is_symlink()
            found[path.name] = digest(path).sha256 if plain else "no file"
    return found


def _keep(made: Path, entry: Path) -> None:
    """Give what was made its name, unless there is nothing or another process was quicker."""
    with contextlib.suppress(OSError):
        if found := _digests(made):
            (made / _DIGESTS).write_text(json.dumps(found), encoding="utf-8")
            made.rename(entry)


def _trim(root: Path, newest: Path) -> None:
    """Remove the entries that were used longest ago, until the rest is within the bounds."""
    import shutil

    with contextlib.suppress(OSError):
        entries = [path for path in root.iterdir() if path != newest and not path.name.startswith(_MAKING)]
        room, places = _MOST_BYTES - _bytes(newest), _MOST_ENTRIES - 1
        for path in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True):
            room, places = room - _bytes(path), places - 1
            if room < 0 or places < 0:
                shutil.rmtree(path, ignore_errors=True)


def _bytes(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.iterdir())
