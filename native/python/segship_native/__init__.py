"""Segship's work on arrays in C++; `segship.vision` finds it by itself and gives the same masks without it."""

from segship_native._core import Resampler, normalise

__all__ = ["Resampler", "__version__", "normalise"]

__version__ = "0.2.0"
