"""The torch-free SDK: open a package, get masks."""

from __future__ import annotations

from segship.runtime.segmentor import Segmentor

__all__ = ["Segmentor"]
