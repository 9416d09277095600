"""What keeps a hostile config from hanging or filling the memory: an allowance of work for each config."""

from __future__ import annotations

from typing import Any

__all__ = ["Allowance", "TooMuchError", "is_slow_key"]

_WORK = 500_000
_DEPTH = 100
_BITS = 1024
_LONG = 64
_CONTAINERS = (list, tuple, set, dict)
# Python's hash of an integer is its rest by this number, so that longer ones can be chosen to share one hash.
_HASHES = 2**61 - 1


def is_slow_key(key: Any) -> bool:
    """Return whether ``key`` is, or holds, an integer of more than 60 bits.

    A dictionary of such keys can be made to hang.
    """
    if isinstance(key, tuple):
        return any(is_slow_key(part) for part in key)
    return isinstance(key, int) and abs(key) >= _HASHES


class TooMuchError(Exception):
    """A config asks for more work or memory than any real one; ends the reading at once."""


class Allowance:
    """Counts the values a config makes; the largest real ones make some ten thousand.

    Everything that grows is spent *before* it is made: a list of 10**12 zeros fails without being allocated.

    Args:
        work: How many values and characters all files of one config may make together.
    """

    def __init__(self, work: int = _WORK) -> None:
        self.left = work

    def spend(self, amount: int = 1) -> None:
        """Take ``amount`` from what is left.

        Raises:
            TooMuchError: Nothing is left.
        """
        self.left -= amount
        if self.left < 0:
            raise TooMuchError("it makes more values than any real config")

    def weigh(self, value: Any) -> None:
        """Spend the size of ``value`` written out as a tree, which shared lists can make exponential.

        Raises:
            TooMuchError: The tree is too large, too deep, or contains itself.
        """
        level = [value]
        for _ in range(_DEPTH):
            level = self._weigh_level(level)
            if not level:
                return
        raise TooMuchError(f"values are nested deeper than {_DEPTH}")

    def _weigh_level(self, values: list[Any]) -> list[Any]:
        """Spend ``values`` without what they contain, which is returned."""
        self.spend(len(values))
        inner: list[Any] = []
        for value in values:
            if isinstance(value, (str, bytes)):
                self.spend(len(value) // _LONG)
            elif isinstance(value, _CONTAINERS):
                self.spend(len(value))
                inner.extend(value)
                if isinstance(value, dict):
                    inner.extend(value.values())
        return inner

    def check_key(self, key: Any) -> None:
        """Spend the size of ``key`` and refuse what hashes slowly.

        Raises:
            TooMuchError: It holds too many values, or an integer of more than 60 bits.
        """
        self.weigh(key)
        if is_slow_key(key):
            raise TooMuchError("an integer of more than 60 bits is a key")

    @staticmethod
    def check_bits(bits: int) -> None:
        """Refuse an integer of ``bits`` bits before it is computed.

        Raises:
            TooMuchError: It is longer than 1024 bits.
        """
        if bits > _BITS:
            raise TooMuchError(f"an integer is longer than {_BITS} bits")
