"""Weights of other repositories under the keys of this one, which are MMSegmentation's.

Where they come from is one module of ``origins`` each, found by its name; nothing else has to be told of it.
"""

from __future__ import annotations

from segship.tools.weights.convert import Converted, convert_weights, find_origin, origins

__all__ = ["Converted", "convert_weights", "find_origin", "origins"]
