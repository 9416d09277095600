"""Image sizes as users write them."""

from __future__ import annotations

import re

from segship.core.errors import InputError

__all__ = ["parse_size"]

_SIZE = re.compile(r"(\d+)(?:\s*[x, ]\s*(\d+))?")


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of ``"512x1024"``; one number is a square.

    Raises:
        InputError: ``text`` is no size, or a side is zero.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]) or (match[2] and not int(match[2])):
        raise InputError(f"{text!r} is no size: expected HEIGHTxWIDTH in pixels, as 512x1024")
    return int(match[1]), int(match[2] or match[1])
