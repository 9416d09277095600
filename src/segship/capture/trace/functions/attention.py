"""Attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from segship.capture.trace.arguments import first_example
from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.meta_shapes import new
from segship.capture.trace.registry import composite, function
from segship.onnxgraph.attention import attention_products
from segship.onnxgraph.conventions import ATTENTION_OPSET

if TYPE_CHECKING:
    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_MAPS = 4  # axes of (N, heads, tokens, channels)


def _attention_shape(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return new((*query.shape[:-1], value.shape[-1]), query.dtype)


@function("scaled_dot_product_attention", shape=_attention_shape)
def _attention(
    g: TracedGraph,
    out: Tensor,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    if dropout_p or is_causal:
        raise UntraceableError("attention of a kind that no network here has")
    q, k, v = map(g.tensor, (query, key, value))
    mask = None if attn_mask is None else g.tensor(attn_mask)
    if enable_gqa:
        k, v = (_repeated(g, part, query.shape[1]) for part in (key, value))
    heads = {first_example(part).shape[1:2] for part in (query, key, value)}
    if (enable_gqa or len(heads) == 1) and _is_operator(g, out, key, attn_mask):
        g.opset = g.opset or ATTENTION_OPSET
        how: dict[str, Any] = {} if scale is None else {"scale": float(scale)}
        return g.add("Attention", *([q, k, v] if mask is None else [q, k, v, mask]), **how)
    factor = first_example(query).shape[-1] ** -0.5 if scale is None else scale
    return attention_products(g, (q, k, v), key.dim(), factor, mask)


def _is_operator(g: TracedGraph, out: Tensor, key: Any, mask: Any) -> bool:
    """Whether there is an operator for it: of maps, and, as engines want it, with a mask of every pair of tokens."""
    if out.dim() != _MAPS or (g.opset or ATTENTION_OPSET) < ATTENTION_OPSET:
        return False
    return mask is None or first_example(mask).shape[-2:] == (out.shape[-2], first_example(key).shape[-2])


def _repeated(g: TracedGraph, part: Any, wanted: int) -> Value:
    """(N, heads, tokens, channels) with each head several times, one after the other, so that there are ``wanted``."""
    x, (_, heads, _, channels) = g.tensor(part), part.shape
    if heads == wanted:
        return x
    apart = g.add("Unsqueeze", x, g.constant(2, "int64"))
    several = g.add("Tile", apart, g.constant([1, 1, wanted // heads, 1, 1], "int64"))
    return g.add("Reshape", several, g.constant([0, wanted, -1, channels], "int64"))


@composite("multi_head_attention_forward")
def _multi_head_attention(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any,
    bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any,
    training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
    v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, None]:  # fmt: skip
    others = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if any(each is not None for each in others) or add_zero_attn or is_causal or training or query.dim() != 3:
        raise UntraceableError("attention of many heads with options that few use")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = separate if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (  # (tokens, batch, channels) -> (batch, heads, tokens, channels of a head)
        torch.unflatten(F.linear(x, weight, bias), 2, (num_heads, -1)).permute(1, 2, 0, 3)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    if attn_mask is not None:
        mask = torch.unflatten(attn_mask, 0, (-1, num_heads)) if attn_mask.dim() == 3 else attn_mask
        attn_mask = mask.logical_not() if mask.dtype == torch.bool else mask
    out = F.scaled_dot_product_attention(q, k, v, attn_mask).permute(2, 0, 1, 3).flatten(2)
    return F.linear(out, out_proj_weight, out_proj_bias), None  # the weights of tokens, which networks drop
