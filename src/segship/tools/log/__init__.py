"""Training logs: read as curves, drawn as a picture."""

from __future__ import annotations

from segship.tools.log.plot import plot
from segship.tools.log.read import Curve, Run, read_log

__all__ = ["Curve", "Run", "plot", "read_log"]
