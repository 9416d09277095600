"""The logits of windows until they are needed no more: in memory up to a limit, in a scratch file beyond it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from segship.core.errors import InputError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    Key = tuple[int, int]

__all__ = ["LogitsStore"]


class LogitsStore:
    """Logits by window.

    One thread puts and drops; another may get what was put.

    Args:
        shape: (C, h, w) of each.
        memory: Bytes to hold in memory.
        folder: Where the scratch file is made if it is needed; None: where the system has such files.
    """

    def __init__(self, shape: tuple[int, int, int], memory: int, folder: Path | None = None) -> None:
        self._shape, self._folder = shape, folder
        self._bytes = 4 * int(np.prod(shape))
        self._room = memory // self._bytes
        self._held: dict[Key, NDArray[np.float32]] = {}
        self._slots: dict[Key, int] = {}
        self._free: list[int] = []
        self._file: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
        self._held.clear()

    def put(self, key: Key, logits: NDArray[np.float32]) -> None:
        """Keep the logits of a window.

        Raises:
            InputError: The disk is full.
        """
        if len(self._held) < self._room:
            self._held[key] = logits
            return
        slot = self._free.pop() if self._free else len(self._slots)
        try:
            os.pwrite(self._opened(), np.ascontiguousarray(logits, np.float32).reshape(-1).data, slot * self._bytes)
        except OSError as error:
            raise InputError(f"cannot keep logits in a scratch file: {error.strerror or error}") from error
        self._slots[key] = slot

    def get(self, line: int, column: int) -> NDArray[np.float32]:
        """Return the logits (C, h, w) of a window."""
        if (held := self._held.get((line, column))) is not None:
            return held
        found = np.empty(self._shape, np.float32)
        os.preadv(self._opened(), [found.reshape(-1).view(np.uint8).data], self._slots[line, column] * self._bytes)
        return found

    def drop(self, key: Key) -> None:
        """Forget the logits of a window."""
        if self._held.pop(key, None) is None:
            self._free.append(self._slots.pop(key))

    def _opened(self) -> int:
        if self._file is None:
            self._file, name = tempfile.mkstemp(prefix="logits-", dir=self._folder)
            with contextlib.suppress(OSError):  # where open files cannot be removed
                Path(name).unlink()
        return self._file
