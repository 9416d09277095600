"""Programs that kits take along: they run beside a vendor's Python, without Segship, on Python 3.7 and newer."""

from __future__ import annotations

from pathlib import Path

__all__ = ["script"]


def script(name: str) -> str:
    """Return the text of a program of this folder.

    Args:
        name: Its file name.
    """
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
