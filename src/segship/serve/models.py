"""The packages that a service has open, and the exchange of one for a newer version."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError, SegshipError
from segship.core.manifest import MANIFEST
from segship.runtime import Segmentor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segship.serve.options import ServeOptions

__all__ = ["Model", "Models", "named"]

_LOG = logging.getLogger("segship.serve")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(eq=False)
class Model:
    """One opened version of a package.

    Attributes:
        name: What clients call it.
        path: Its folder.
        segmentor: It, opened.
        version: What its files looked like when it was opened.
        number: 1, and one more after each exchange.
    """

    name: str
    path: Path
    segmentor: Segmentor
    version: tuple[int, int, int]
    number: int = 1
    _users: int = 0
    _retired: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """A request uses it from now on."""
        with self._lock:
            self._users += 1

    def end(self) -> None:
        """A request does not use it any more; the last one closes what was exchanged."""
        with self._lock:
            self._users -= 1
            close = self._retired and not self._users
        if close:
            self.segmentor.close()

    def retire(self) -> None:
        """Close it as soon as nobody uses it."""
        with self._lock:
            self._retired = True
            close = not self._users
        if close:
            self.segmentor.close()


def named(packages: Sequence[str]) -> dict[str, Path]:
    """The path of each package by its name.

    Args:
        packages: Paths, or ``NAME=PATH``.

    Raises:
        InputError: None is given, a name is taken twice, or holds what no address may.
    """
    found: dict[str, Path] = {}
    for package in packages:
        name, separator, path = package.partition("=")
        if not separator or Path(package).exists():
            path, name = package, Path(package).resolve().name
        if not name or not set(name) <= _NAME_CHARACTERS:
            raise InputError(f"{name!r} cannot be part of an address: name the package, as in street={path}")
        if name in found:
            raise InputError(f"two packages are called {name}: name them apart, as in {name}-2={path}")
        found[name] = Path(path)
    if not found:
        raise InputError("give the packages to serve")
    return found


class Models:
    """All models of a service.

    Args:
        options: Names the packages, and says how they are opened.

    Raises:
        SegshipError: A package cannot be opened.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._models = {name: self._open(name, path) for name, path in named(options.packages).items()}
        self._lock = threading.Lock()  # nobody begins to use what is being exchanged

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self._models.values()))

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[Model]:
        """A model, which stays open while it is used.

        Raises:
            KeyError: There is none of this name.
        """
        with self._lock:
            model = self._models[name]
            model.begin()
        try:
            yield model
        finally:
            model.end()

    def get(self, name: str) -> Model:
        """A model, to be asked about.

        Raises:
            KeyError: There is none of this name.
        """
        return self._models[name]

    def refresh(self) -> list[str]:
        """Open the new version of each package that changed, and put it in the place of the old one.

        A package that cannot be opened is told once, and the old version stays.

        Returns:
            Names of those that were exchanged.
        """
        exchanged = []
        for old in self:
            version = _version(old.path)
            if version in (None, old.version):
                continue
            try:
                new = self._open(old.name, old.path, old.number + 1)
            except (SegshipError, OSError) as error:
                _LOG.warning("the new version of %s is not opened: %s", old.name, error)
                old.version = version or old.version
                continue
            with self._lock:
                self._models[old.name] = new
            old.retire()
            exchanged.append(old.name)
        return exchanged

    def close(self) -> None:
        """Close them all, each as soon as nobody uses it."""
        for model in self:
            model.retire()

    def _open(self, name: str, path: Path, number: int = 1) -> Model:
        options = self._options
        version = _version(path)
        segmentor = Segmentor(
            path,
            device=options.device,
            threads=options.engine_threads,
            trust=options.trust,
            max_pixels=options.limits.max_pixels,
        )
        try:
            segmentor.warm_up()
        except BaseException:
            segmentor.close()
            raise
        return Model(name, path, segmentor, version or (0, 0, 0), number)


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes when a package is replaced; None where there is nothing at the moment."""
    try:
        state = (path / MANIFEST if path.is_dir() else path).stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
