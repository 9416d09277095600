"""The index of a folder of results: a line of JSON for each image, which survives a killed process."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.runtime.object_store import ObjectImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from segship.runtime.object_store import Place

__all__ = ["INDEX", "ResultIndex", "begin_index", "identify"]

INDEX = "index.jsonl"
"""Name of the index in a folder of results."""


def identify(image: Place, package: str) -> dict[str, Any]:
    """Return what decides the results of an image: the file as it is now, and the package.

    Args:
        image: Its file, or its object in a store.
        package: Digest of the package.

    Raises:
        InputError: The file cannot be read.
    """
    if isinstance(image, ObjectImage):
        return {"image": image.url, "bytes": image.size, "modified": image.modified, "package": package}
    try:
        status = image.stat()
    except OSError as error:
        raise InputError(f"cannot read {image}: {error.strerror or error}") from None
    return {"image": str(image), "bytes": status.st_size, "modified": status.st_mtime, "package": package}


def begin_index(folder: Path) -> None:
    """Write the index if there is none; of several processes that begin, none empties what another has written.

    Args:
        folder: Where the results lie.

    Raises:
        InputError: It cannot be written.
    """
    path = folder / INDEX
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


class ResultIndex:
    """The entries of a folder of results, one for each name; the last line of a name counts.

    Nothing is written before the first image is done.

    Args:
        folder: Where the results lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / INDEX
        self._entries: dict[str, dict[str, Any]] = {}
        self._waiting: list[bytes] = []
        self._beginning = threading.Lock()
        self.exists = self._path.is_file()
        """Whether there is one, so that results in the folder may be replaced."""
        if self.exists:
            self._entries = {entry["name"]: entry for entry in _entries(self._path)}

    def files(self) -> set[Path]:
        """The results that are there, and the index itself, with links followed."""
        names = [name for entry in self._entries.values() for name in entry.get("files", {}).values()]
        return {(self._folder / name).resolve() for name in (*names, INDEX)}

    def holds(self, name: str, wanted: Mapping[str, Any], files: Mapping[str, str]) -> bool:
        """Return whether the results of an image are there, made as they would be made now.

        Args:
            name: Of its results.
            wanted: What decides them.
            files: Which there must be.
        """
        entry = self._entries.get(name, {})
        listed = entry.get("files", {})
        return (
            "error" not in entry
            and all(entry.get(key) == value for key, value in wanted.items())
            and all(listed.get(kind) == file and (self._folder / file).is_file() for kind, file in files.items())
        )

    def listed(self, kind: str, **settings: Any) -> dict[str, str]:
        """The results of one kind, by the names of their images.

        Args:
            kind: As in an entry's ``files``.
            settings: What else the entries must say.
        """
        wanted = settings.items()
        return {
            name: entry["files"][kind]
            for name, entry in self._entries.items()
            if kind in entry.get("files", {}) and all(entry.get(key) == value for key, value in wanted)
        }

    def drop(self, names: Iterable[str]) -> None:
        """Remove the entries of results that will be made again."""
        for name in names:
            self._entries.pop(name, None)
        if self.exists:
            write_atomically(self._path, b"".join(map(_line, self._entries.values())))

    def begin(self) -> None:
        """Write the index if there is none: from now on results may be there that it does not name yet."""
        with self._beginning:
            if not self.exists:
                begin_index(self._folder)
                self.exists = True

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an entry; one for an image that failed waits until there is an index.

        Raises:
            InputError: It cannot be written.
        """
        self._entries[entry["name"]] = dict(entry)
        self._waiting.append(_line(entry))
        if not self.exists:
            return
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, b"".join(self._waiting))
            finally:
                os.close(handle)
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror or error}") from error
        self._waiting.clear()


def _line(entry: Mapping[str, Any]) -> bytes:
    # Half a surrogate pair, as in names that are no UTF-8, is written as JSON escapes it.
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of an index; what is no entry, as a line that was cut off, is left out."""
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _has_files(entry.get("files", {})):
            found.append(entry)
    return found


def _has_files(files: object) -> bool:
    return isinstance(files, dict) and all(isinstance(name, str) for name in files.values())
