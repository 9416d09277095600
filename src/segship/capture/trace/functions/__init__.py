"""What functions of torch are in ONNX, one file for each kind of function."""

from segship.capture.trace.functions import (
    attention,
    convolutions,
    creation,
    elementwise,
    indexing,
    layout,
    normalisation,
    pooling,
    reductions,
)
from segship.capture.trace.registry import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "attention",
    "convolutions",
    "creation",
    "elementwise",
    "indexing",
    "layout",
    "normalisation",
    "pooling",
    "reductions",
]
