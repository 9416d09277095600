"""Attention as the products and the softmax that it stands for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.onnxgraph.build import Builder, Value

__all__ = ["attention_products"]


def attention_products(
    builder: Builder, inputs: tuple[Value, Value, Value], axes: int, scale: float, mask: Value | None = None
) -> Value:
    """Build ``softmax(scale * query @ key^T + mask) @ value``.

    Args:
        builder: The graph that the operators are added to.
        inputs: Query, key and value, of shape (…, tokens, channels).
        axes: The number of their axes.
        scale: The factor of the query.
        mask: What is added to the scores, or a condition that holds where a token is looked at; None: nothing.
    """
    query, key, value = inputs
    order = list(range(axes))
    transposed = builder.add("Transpose", key, perm=[*order[:-2], order[-1], order[-2]])
    scores = builder.add("MatMul", builder.add("Mul", query, builder.number(scale, query.dtype)), transposed)
    if mask is not None and mask.dtype == "bool":
        mask = builder.where(mask, builder.number(0, query.dtype), builder.number(-math.inf, query.dtype))
    scores = scores if mask is None else builder.add("Add", scores, mask)
    return builder.add("MatMul", builder.add("Softmax", scores, axis=-1), value)
