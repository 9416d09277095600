"""What a Segmentor is opened with, checked."""

from __future__ import annotations

import numpy as np

from segship.core.errors import InputError

__all__ = ["require_order", "require_whole"]


def require_order(order: object) -> None:
    """Make sure that a name of an order of channels is one.

    Raises:
        InputError: It is not.
    """
    if order not in ("rgb", "bgr"):
        raise InputError(f"channel_order is 'rgb' or 'bgr', not {order!r:.80}")


def require_whole(**numbers: object) -> None:
    """Make sure that each is a positive whole number, or None where that means a default.

    Raises:
        InputError: One is not.
    """
    for name, value in numbers.items():
        if value is None and name == "threads":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise InputError(f"{name} is {value!r:.80}: expected a whole number above zero")
