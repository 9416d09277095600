"""What functions of torch are in ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.capture.trace.arithmetic import ARITHMETIC
from segship.capture.trace.indexing import PARTS
from segship.capture.trace.layers import LAYERS
from segship.capture.trace.shapes import SHAPES

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
