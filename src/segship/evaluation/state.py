"""What an interrupted evaluation has counted, kept so that the next one goes on from there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import SegshipError
from segship.core.files import cache_folder, write_atomically
from segship.evaluation.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Ledger", "ledger_path"]

_FIRST, _EVERY = 5.0, 2.0  # seconds until counts are first saved, and between two savings


def ledger_path(identity: Any) -> Path:
    """Where the counts of one evaluation are kept: in the user's cache folder, named by what is evaluated.

    Args:
        identity: JSON types that decide the counts: digests of the networks, names of the samples, options.
    """
    text = json.dumps(identity, sort_keys=True, default=str)
    return cache_folder() / "evaluate" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


class Ledger:
    """The tally of a run, and which samples are in it.

    Args:
        tally: Empty, of the right shape.
        samples: How many there are.
        path: Where it is kept between runs; None: nowhere.
    """

    def __init__(self, tally: Tally, samples: int, path: Path | None = None) -> None:
        self.tally = tally
        self._done = np.zeros(samples, np.bool_)
        self._path = path
        self._next = time.monotonic() + _FIRST

    @property
    def done(self) -> int:
        """The number of samples in the tally."""
        return int(self._done.sum())

    def left(self) -> list[int]:
        """The places of the samples that are not."""
        places: list[int] = np.flatnonzero(~self._done).tolist()
        return places

    def add(self, places: Iterable[int], tally: Tally) -> None:
        """Add what was counted of the samples at ``places``, and save from time to time."""
        self.tally.add(tally)
        self._done[list(places)] = True
        if time.monotonic() >= self._next:
            self.save()
            self._next = time.monotonic() + _EVERY

    def save(self) -> None:
        """Write the counts; a folder that cannot be written is no reason to stop counting."""
        if self._path is None or not self._done.any():
            return
        buffer = io.BytesIO()
        figures = np.frombuffer(json.dumps(self.tally.figures()).encode(), np.uint8)
        arrays: dict[str, Any] = {"done": self._done, "figures": figures} | self.tally.arrays()
        np.savez_compressed(buffer, **arrays)
        try:
            write_atomically(self._path, buffer.getvalue())
        except SegshipError:
            self._path = None

    def resume(self) -> bool:
        """Take over what an earlier run saved; whether there was something."""
        if self._path is None or not self._path.is_file():
            return False
        try:
            with np.load(io.BytesIO(self._path.read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            figures = json.loads(arrays.pop("figures").tobytes())
            done = arrays.pop("done").astype(np.bool_)
            tally = Tally.restored(arrays, figures)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, TypeError):
            return False  # damaged: count again
        if done.shape != self._done.shape or tally.matrix.shape != self.tally.matrix.shape:
            return False
        self._done, self.tally = done, tally
        return True

    def forget(self) -> None:
        """Remove what was saved: the run is complete."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
