"""Images in object stores, through fsspec: ``s3://bucket/folder``, ``gs://…``, ``https://…``."""

from __future__ import annotations

import datetime as dt
import importlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from segship.core.errors import InputError, MissingExtraError, one_line
from segship.vision.formats import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

__all__ = ["ObjectImage", "Place", "encoded", "find_objects", "is_url", "places_of"]

_URL = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://")
_MOST_BYTES = 1 << 30  # of one object: it is read whole
_LIST = ".txt"
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "ETag", "etag", "created")


@dataclass(frozen=True)
class ObjectImage:
    """An image in an object store, as the store lists it.

    Attributes:
        url: Its address.
        size: Bytes; None: the store does not tell.
        modified: Seconds since 1970, or what else the store gives that changes with the object; None: nothing.
    """

    url: str
    size: int | None
    modified: float | str | None

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return PurePosixPath(self.url).name

    def read(self) -> bytes:
        """Return the object's bytes.

        Raises:
            InputError: It cannot be read, or is larger than 1 GiB.
        """
        if self.size is not None and self.size > _MOST_BYTES:
            raise InputError(f"{self.url} has {self.size} bytes: images of more than {_MOST_BYTES} are not fetched")
        store, path = _open(self.url)
        try:
            data: bytes = store.cat_file(path, start=0, end=_MOST_BYTES)
        except Exception as error:  # noqa: BLE001  (each store has errors of its own)
            raise InputError(f"cannot read {self.url}: {one_line(error)}") from None
        return data


Place: TypeAlias = "Path | ObjectImage"
"""Where an image lies."""


def is_url(path: object) -> bool:
    """Return whether a path is the address of an object store.

    Args:
        path: What a user gave.
    """
    return isinstance(path, str) and _URL.match(path) is not None


def places_of(paths: Sequence[str | os.PathLike[str]]) -> list[Path | str]:
    """Return the paths and addresses that are named, with those that lists name in the lists' places.

    Args:
        paths: Files, folders, addresses, and lists: ``.txt`` files with one of these in each line.

    Raises:
        InputError: A list cannot be read, or is empty.
    """
    found: list[Path | str] = []
    for path in paths:
        if is_url(path):
            found.append(str(path))
        elif Path(path).suffix.lower() == _LIST and Path(path).is_file():
            found += [line if is_url(line) else Path(line) for line in _lines(Path(path))]
        else:
            found.append(Path(path))
    return found


def encoded(place: Place) -> Path | bytes:
    """Return what decoders take: the path of a file, or the bytes of an object.

    Args:
        place: An image.

    Raises:
        InputError: An object cannot be read.
    """
    return place if isinstance(place, Path) else place.read()


def find_objects(url: str) -> tuple[dict[ObjectImage, str], list[str]]:
    """List an object, or the images below a folder of objects.

    Args:
        url: Its address.

    Returns:
        Each image with its path below the folder, without suffix; and what else lies there, hidden objects left out.

    Raises:
        InputError: There is nothing, no image among it, or the store does not answer.
        MissingExtraError: fsspec is not installed.
    """
    store, path = _open(url)
    try:
        folder = store.isdir(path)
        told = store.find(path, detail=True) if folder else {path: store.info(path)}
    except Exception as error:  # noqa: BLE001  (each store has errors of its own)
        raise InputError(f"cannot read {url}: {one_line(error)}") from None
    images, others = dict[ObjectImage, str](), list[str]()
    for key in sorted(told):
        inside = PurePosixPath(key[len(path) :].lstrip("/")) if folder else PurePosixPath(PurePosixPath(key).name)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if not folder or inside.suffix.lower() in IMAGE_SUFFIXES:
            images[_image(url if not folder else store.unstrip_protocol(key), told[key])] = str(inside.with_suffix(""))
        else:
            others.append(str(inside))
    if not images:
        raise InputError(f"{url} holds no image: expected objects that end with {' '.join(IMAGE_SUFFIXES)}")
    return images, others


def _image(url: str, told: Mapping[str, Any]) -> ObjectImage:
    changed = next((told[key] for key in _TIMES if told.get(key) is not None), None)
    if isinstance(changed, dt.datetime):
        changed = changed.timestamp()
    return ObjectImage(url, told.get("size"), changed if isinstance(changed, (int, float, str)) else None)


def _open(url: str) -> tuple[Any, str]:
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise MissingExtraError(f"Reading {url}", "ray", "fsspec") from error
    try:
        store, path = core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:  # the store's own library is named by fsspec
        raise InputError(f"cannot read {url}: {one_line(error)}") from None
    return store, path.rstrip("/")


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    found = [line for line in lines if line]
    if not found:
        raise InputError(f"{path} names no image: write a path in each line")
    return found
