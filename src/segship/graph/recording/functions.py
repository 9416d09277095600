"""What functions of torch are in ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.graph.recording.arithmetic import ARITHMETIC
from segship.graph.recording.layers import LAYERS
from segship.graph.recording.parts import PARTS
from segship.graph.recording.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FUNCTIONS", "VIEWS"]

FUNCTIONS: dict[str, Callable[..., Any]] = ARITHMETIC | LAYERS | SHAPES | PARTS
"""How a function of torch is recorded, by its name."""

VIEWS = frozenset({
    "bool", "chunk", "contiguous", "detach", "double", "dropout", "expand", "flatten", "float", "getitem", "int",
    "long", "narrow", "permute", "reshape", "select", "split", "squeeze", "t", "to", "transpose", "unflatten",
    "unsqueeze", "view",
})  # fmt: skip
"""Functions whose result may be the memory of their argument."""
