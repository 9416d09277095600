"""The same work in C++, where the distribution ``segship-native`` is installed: equal masks, sooner.

NumPy's way stays the reference, and every test of `segship.vision` runs over both. ``SEGSHIP_NATIVE=0`` in the
environment leaves the library out.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.vision.taps import Taps

__all__ = ["decide", "is_used", "normalise", "scores", "using"]

_SERIES = "0.2."  # of the versions that fit


def _found() -> Any:
    """The library, or None where it is not installed, of another version, or not wanted."""
    if os.environ.get("SEGSHIP_NATIVE") == "0":
        return None
    try:
        library = importlib.import_module("segship_native")
    except ImportError:
        return None
    return library if library.__version__.startswith(_SERIES) else None


_library = _found()
_used = _library is not None


def is_used() -> bool:
    """Return whether the functions here can be called, and shall be."""
    return _used


@contextmanager
def using(wanted: bool) -> Iterator[None]:
    """Use the library, or leave it out, for a while and for all threads.

    Raises:
        ImportError: It is wanted and not installed.
    """
    global _used  # noqa: PLW0603
    if wanted and _library is None:
        raise ImportError("segship-native is not installed: pip install native/python")
    before, _used = _used, wanted
    try:
        yield
    finally:
        _used = before


@lru_cache(maxsize=32)
def _resampler(rows: Taps, columns: Taps) -> Any:
    sides = [(taps.index.astype(np.int32), np.ascontiguousarray(taps.weight), taps.cells) for taps in (rows, columns)]
    return _library.Resampler(*sides[0], *sides[1])


def decide(logits: NDArray[np.float32], rows: Taps, columns: Taps, cut: float | None) -> NDArray[np.uint8 | np.uint16]:
    """Labels, as `segship.vision.upsample.decide` makes them.

    Args:
        logits: float32 (C, h, w), contiguous.
        rows: Operator of the rows.
        columns: Operator of the columns.
        cut: None: argmax over C. A finite number: C is 1, and the label is whether the logit is above it.

    Returns:
        (H, W), uint8, or uint16 when C is above 256.
    """
    resampler = _resampler(rows, columns)
    found: NDArray[np.uint8 | np.uint16] = resampler.labels(logits) if cut is None else resampler.above(logits, cut)
    return found


def scores(
    logits: NDArray[np.float32], rows: Taps, columns: Taps, *, sigmoid: bool, activated: bool
) -> NDArray[np.float32]:
    """Probabilities, as `segship.vision.upsample.probabilities` makes them; arguments as for it."""
    found: NDArray[np.float32] = _resampler(rows, columns).scores(logits, sigmoid, activated)
    return found


def normalise(image: NDArray[np.uint8], tables: NDArray[np.float32], out: NDArray[np.float32], *, flip: bool) -> None:
    """Write each byte's value.

    Args:
        image: uint8 (H, W, C).
        tables: float32 (C, 256), for the channels of ``out``.
        out: float32 (C, H', W'), contiguous; its upper left is written.
        flip: Take the channels in the opposite order.
    """
    _library.normalise(np.ascontiguousarray(image), tables, flip, out)
