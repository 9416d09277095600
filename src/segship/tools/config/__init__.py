"""Configs with their bases and overrides merged: printed, compared, drawn as a tree of modules."""

from __future__ import annotations

from segship.tools.config.compare import Difference, compare
from segship.tools.config.text import FORMATS, ResolvedConfig, resolve

__all__ = ["FORMATS", "Difference", "ResolvedConfig", "compare", "resolve"]
