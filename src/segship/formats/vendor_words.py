"""Targets in vendors' own words for precisions: ``magicmind-force_float32_static-512x1024``."""

from __future__ import annotations

import re

from segship.backends import backend_names, find_backend

__all__ = ["EXAMPLE", "read_name"]

EXAMPLE = "a vendor's word for the precision, as in magicmind-force_float16_static-512x1024"
"""For error messages: whose names they are, and one of them."""

_TARGET = re.compile(r"(?P<backend>[a-z]+)-(?P<word>[a-z0-9]+(?:_[a-z0-9]+)+)_(?P<shape>(?:dynamic|static).*)")


def read_name(text: str) -> str | None:
    """Return what a target in a vendor's words means, as ``backend[-precision]_shape``; None where it is none."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return None
    if match["backend"] not in backend_names():
        return None
    precision = find_backend(match["backend"]).INFO.precision_names.get(match["word"])
    return None if precision is None else f"{match['backend']}-{precision}_{match['shape']}"
