"""Names to things: one registry for each kind of unit."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Generic, TypeVar

from segship.core.errors import UnsupportedError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Units of one kind under their upstream names, found by importing every module of one package.

    A unit joins by decorating itself: ``@heads.register`` (under its own ``__name__``) or
    ``@heads.register_as("Name")``. A name that is already taken raises and leaves the registry unchanged.

    Args:
        kind: What the units are, for messages: ``"decode head"``.
        package: Dotted name of the package whose modules define the units.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._units: dict[str, T] = {}
        self._searched = False

    def register(self, unit: T) -> T:
        """Add ``unit`` under its own ``__name__`` and return it."""
        return self.register_as(getattr(unit, "__name__", repr(unit)))(unit)

    def register_as(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a unit under ``name``.

        Raises:
            ValueError: ``name`` is taken.
        """

        def add(unit: T) -> T:
            if name in self._units:
                raise ValueError(f"two units are called {name!r} among the {self.kind}s")
            self._units[name] = unit
            return unit

        return add

    def _search(self) -> None:
        if self._searched:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._searched = True

    def __getitem__(self, name: str) -> T:
        """Return the unit called ``name``.

        Raises:
            UnsupportedError: There is none; near names are suggested.
        """
        self._search()
        if name not in self._units:
            raise UnsupportedError(f"no {self.kind} is called {name!r}.{did_you_mean(name, self._units)}")
        return self._units[name]

    def __contains__(self, name: object) -> bool:
        self._search()
        return name in self._units

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(sorted(self._units))

    def __len__(self) -> int:
        self._search()
        return len(self._units)
