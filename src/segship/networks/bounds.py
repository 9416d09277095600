"""Bounds of networks: what a file describes is built without memory first, and counted while it is made."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn.modules import module as registration

from segship.core.errors import UnsupportedError
from segship.core.memory import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

__all__ = ["MAXIMUM_NUMBER", "TooLargeError", "build_within_bounds", "number_beyond", "require_within_bounds"]

T = TypeVar("T")

MAXIMUM_NUMBER = 2**20
"""Greatest number in the description of a part; those of real networks stay below 100 000."""

_MAXIMUM_PARAMETERS = 10**10
_MAXIMUM_MODULES = 4_000  # the largest network of MMSegmentation has 1 048, and 503 million numbers


class TooLargeError(UnsupportedError):
    """A network has more layers or numbers than any real one; ends the building at once."""


def number_beyond(value: Any) -> int | float | None:
    """Return a number within ``value`` that sizes no layer of a real network; None where there is none.

    Args:
        value: A number, or lists and dictionaries that hold some; anything else is passed over.
    """
    level = [value]
    while level:
        for item in level:
            if isinstance(item, (int, float)) and not -MAXIMUM_NUMBER <= item <= MAXIMUM_NUMBER:
                return item
        level = [part for item in level for part in _parts(item)]
    return None


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []


def build_within_bounds(build: Callable[[], T], check: Callable[[T], object] = lambda _: None) -> T:
    """Return what ``build`` makes, after it has been made without memory for its numbers and counted.

    Args:
        build: Makes a network; called twice, or once where the default device is ``meta`` already.
        check: Called with the network that has no memory: refuses it by raising before one with memory is made.

    Raises:
        TooLargeError: The network has more layers than any real one, more than 10 000 million numbers, or more than
            this machine has memory for.
    """
    if torch.get_default_device().type == "meta":
        with _counted():
            return build()
    check(require_within_bounds(build))
    return build()


def require_within_bounds(build: Callable[[], T]) -> T:
    """Count what ``build`` makes, as `build_within_bounds` does.

    Args:
        build: Makes a network.

    Returns:
        The network without memory for its numbers.

    Raises:
        TooLargeError: As there.
    """
    with torch.device("meta"), _counted():
        return build()


class _Counter:
    """Counts the modules and numbers that one thread registers."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._modules = self._numbers = self._bytes = 0
        self._room = memory_bytes()

    def module(self, _: nn.Module, __: str, child: nn.Module | None) -> None:
        """Count a module that becomes part of another.

        Raises:
            TooLargeError: There are too many.
        """
        self._modules += child is not None and self._thread == threading.get_ident()
        if self._modules > _MAXIMUM_MODULES:
            raise TooLargeError(f"the network has more than {_MAXIMUM_MODULES} layers, more than any real one")

    def numbers(self, _: nn.Module, __: str, tensor: Tensor | None) -> None:
        """Count a parameter or buffer that becomes part of a module.

        Raises:
            TooLargeError: They are too many together.
        """
        if tensor is None or self._thread != threading.get_ident():
            return
        self._numbers += tensor.numel()
        self._bytes += tensor.numel() * tensor.element_size()
        if self._numbers > _MAXIMUM_PARAMETERS:
            raise TooLargeError(f"the network has more than {_MAXIMUM_PARAMETERS} numbers, more than any real one")
        if self._bytes > self._room:
            raise TooLargeError("the network has more numbers than this machine has memory for")


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    counter = _Counter()
    handles = [
        registration.register_module_module_registration_hook(counter.module),
        registration.register_module_parameter_registration_hook(counter.numbers),
        registration.register_module_buffer_registration_hook(counter.numbers),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
