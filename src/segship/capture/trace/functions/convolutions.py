"""Convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.capture.trace.arguments import each
from segship.capture.trace.meta_shapes import new
from segship.capture.trace.registry import function

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__ = ["stepped"]


def stepped(
    lengths: Sequence[int], kernel: Sequence[int], steps: Sequence[int], pads: Sequence[int], gaps: Sequence[int]
) -> Iterator[int]:
    """What a kernel makes of the lengths of the axes it goes along.

    Args:
        lengths: Numbers, or symbolic dims.
        kernel: The kernel's own lengths.
        steps: Strides.
        pads: The padding before each axis, and then that after each.
        gaps: Dilations.
    """
    for axis, (length, side, step, gap) in enumerate(zip(lengths, kernel, steps, gaps, strict=True)):
        missing = gap * (side - 1) + 1 - pads[axis] - pads[len(steps) + axis]
        yield (length + (step - missing)) // step


def _padding(padding: Any, kernel: Sequence[int], gaps: Sequence[int]) -> list[int]:
    """The padding before each axis, and then that after each."""
    if not isinstance(padding, str):
        return each(padding, len(gaps)) * 2
    if padding == "valid":
        return [0] * len(gaps) * 2
    missing = [gap * (side - 1) for gap, side in zip(gaps, kernel, strict=True)]
    before = [length // 2 for length in missing]
    return [*before, *(length - first for length, first in zip(missing, before, strict=True))]


def _conv_shape(
    input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    if input.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(f"{input.shape[1]} channels for a convolution of {weight.shape[1] * groups}")
    kernel, lengths = weight.shape[2:], input.shape[2:]
    steps, gaps = each(stride, len(kernel)), each(dilation, len(kernel))
    sides = stepped(lengths, kernel, steps, _padding(padding, kernel, gaps), gaps)
    return new((input.shape[0], weight.shape[0], *sides), input.dtype)


@function("conv1d", "conv2d", shape=_conv_shape)
def _conv(
    g: TracedGraph,
    _: Tensor,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    count = input.dim() - 2
    steps, gaps = each(stride, count), each(dilation, count)
    pads = _padding(padding, weight.shape[2:], gaps)
    inputs = [g.tensor(part) for part in (input, weight, bias) if part is not None]
    g.declare_dims(stepped(input.shape[2:], weight.shape[2:], steps, pads, gaps))
    return g.add("Conv", *inputs, strides=steps, pads=pads, dilations=gaps, group=groups)


def _enlarged(
    lengths: Sequence[int], kernel: Sequence[int], steps: Any, pads: Any, added: Any, gaps: Any
) -> Iterator[int]:
    """What a transposed convolution makes of the lengths of the axes it goes along."""
    options = (each(option, len(kernel)) for option in (steps, pads, added, gaps))
    for length, side, step, pad, more, gap in zip(lengths, kernel, *options, strict=True):
        yield length * step + (gap * (side - 1) + more + 1 - step - 2 * pad)


def _conv_transpose_shape(
    input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    sides = _enlarged(input.shape[2:], weight.shape[2:], stride, padding, output_padding, dilation)
    return new((input.shape[0], weight.shape[1] * groups, *sides), input.dtype)


@function("conv_transpose2d", shape=_conv_transpose_shape)
def _conv_transpose(
    g: TracedGraph,
    _: Tensor,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Value:
    g.declare_dims(_enlarged(input.shape[2:], weight.shape[2:], stride, padding, output_padding, dilation))
    inputs = [g.tensor(part) for part in (input, weight, bias) if part is not None]
    how: dict[str, Any] = {
        "strides": each(stride),
        "pads": each(padding) * 2,
        "output_padding": each(output_padding),
        "group": groups,
        "dilations": each(dilation),
    }
    return g.add("ConvTranspose", *inputs, **how)
