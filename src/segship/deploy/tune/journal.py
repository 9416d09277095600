"""What a tuning has found so far, on the disk, so that one that was interrupted goes on within the same budget."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.deploy.tune.result import Tried

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Journal", "OutOfTimeError"]

_FILE, _MASKS, _PACKAGES = "tune.json", "network.npz", "packages"
_PICTURE = "tune.svg"
_EVERY = 2.0  # seconds between two savings of the time that was spent


class OutOfTimeError(Exception):
    """The budget is over; what was begun is given up."""


class Journal:
    """The folder of one tuning: its record, the network's own masks, and the packages that were built.

    Args:
        folder: Where it lies; made where it is not there.
        settings: JSON types that decide the result. A record of other settings is begun anew.
        budget: Seconds.

    Attributes:
        tried: What is known of each candidate, by target, in the order in which they were tried.
        budget: As given.
        resumed: Seconds that earlier runs took; 0 where this is the first.

    Raises:
        InputError: The folder holds something else.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], budget: float) -> None:
        self._folder, self._settings, self.budget = folder, dict(settings), budget
        self._key = hashlib.sha256(json.dumps(self._settings, sort_keys=True, default=str).encode()).hexdigest()
        self.tried: dict[str, Tried] = {}
        self.resumed = 0.0
        self._read()
        self._begin = self._saved = time.monotonic()

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    @property
    def picture(self) -> Path:
        """Where the plot is written."""
        return self._folder / _PICTURE

    @property
    def spent(self) -> float:
        """Seconds that all runs took together."""
        return self.resumed + time.monotonic() - self._begin

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; below zero where it is over."""
        return self.budget - self.spent

    def package(self, target: str) -> Path:
        """Return where the package of a target lies."""
        return self._folder / _PACKAGES / target

    def add(self, one: Tried) -> None:
        """Note what was found of a candidate."""
        self.tried[one.target] = one
        self.save()

    def tick(self) -> None:
        """Note from time to time how much was spent, so that a process that is killed does not get it back."""
        if time.monotonic() - self._saved > _EVERY:
            self.save()

    def save(self, result: Mapping[str, Any] | None = None) -> None:
        """Write the record.

        Args:
            result: What the tuning ended with; None: it goes on.
        """
        self._saved = time.monotonic()
        record = {
            "key": self._key,
            "ended": result is not None,
            "spent": round(self.spent, 1),
            "settings": self._settings,
            **(result or {"tried": [one.as_dict() for one in self.tried.values()]}),
        }
        text = json.dumps(record, indent=1, ensure_ascii=False, default=str)
        write_atomically(self._folder / _FILE, f"{text}\n".encode())

    def masks(self) -> list[NDArray[Any]] | None:
        """Return the network's own masks, where an earlier run has made them."""
        try:
            with np.load(self._folder / _MASKS, allow_pickle=False) as file:
                return [file[name] for name in file.files]
        except (OSError, ValueError):
            return None

    def keep_masks(self, masks: list[NDArray[Any]]) -> None:
        """Keep the network's own masks."""
        temporary = self._folder / f".{_MASKS}"
        with temporary.open("wb") as file:
            np.savez_compressed(file, *masks)
        temporary.replace(self._folder / _MASKS)

    def clear(self) -> None:
        """Remove what only resuming needs."""
        shutil.rmtree(self._folder / _PACKAGES, ignore_errors=True)
        (self._folder / _MASKS).unlink(missing_ok=True)

    def _read(self) -> None:
        """Take over an interrupted run with the same settings; anything else of ours is begun anew."""
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{self._folder} exists and is not a directory: name another place with --to")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            record = json.loads((self._folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = None
        if not isinstance(record, dict) or "key" not in record:
            if any(self._folder.iterdir()):
                raise InputError(f"{self._folder} exists and holds something else: name another place with --to")
            return
        if record["key"] != self._key or record.get("ended"):
            self.clear()
            return
        self.resumed = float(record.get("spent", 0.0))
        self.tried = {one["target"]: Tried.read(one) for one in record.get("tried", [])}
