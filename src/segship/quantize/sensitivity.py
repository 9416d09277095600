"""Which layers suffer most from quantisation: each is quantised alone, and the change of the logits is measured."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from segship.quantize.layers import quantized_layers, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx
    from numpy.typing import NDArray

__all__ = ["order", "rank"]


def rank(
    quantized: onnx.ModelProto,
    original: onnx.ModelProto,
    inputs: Sequence[NDArray[np.float32]],
    run: Callable[[onnx.ModelProto, NDArray[np.float32]], NDArray[np.float32]],
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[str, float]]:
    """Order the quantised layers by the damage each does alone.

    Args:
        quantized: The QDQ graph.
        original: The float32 graph.
        inputs: What to look at, float32 (N, C, H, W) each; a few are enough.
        run: Computes the logits of a graph for an input.
        progress: Called with (done, all) after each layer.

    Returns:
        Names, and the mean absolute change of the logits as a share of the greatest; the worst first.
    """
    layers = quantized_layers(quantized)

    def alone(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        return functools.partial(run, restore(quantized, original, set(layers) - {name}))

    return order(layers, inputs, functools.partial(run, original), alone, progress)


def order(
    layers: Sequence[str],
    inputs: Sequence[NDArray[np.float32]],
    original: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    alone: Callable[[str], Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[str, float]]:
    """Order layers by the damage each does alone.

    Args:
        layers: Their names.
        inputs: What to look at, float32 (N, C, H, W) each; a few are enough.
        original: Computes the logits of an input in floating point.
        alone: Makes what computes the logits with only the named layer quantised.
        progress: Called with (done, all) after each layer.

    Returns:
        As `rank`.
    """
    expected = [original(image) for image in inputs]
    greatest = max(float(np.abs(logits).max()) for logits in expected) or 1.0
    damage = []
    for done, name in enumerate(layers, start=1):
        run = alone(name)
        change = [float(np.abs(run(image) - want).mean()) for image, want in zip(inputs, expected, strict=True)]
        damage.append((name, float(np.mean(change)) / greatest))
        if progress is not None:
            progress(done, len(layers))
    return sorted(damage, key=lambda entry: -entry[1])
