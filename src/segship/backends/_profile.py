"""The shapes that NVIDIA's builders want to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.core.artifacts import TensorInfo
    from segship.core.target import Shape

__all__ = ["profile"]

_LEAST, _TYPICAL, _GREATEST = (32, 32), (512, 1024), (2048, 2048)
_BATCH = 4  # memory is planned for the greatest batch, and throughput hardly grows beyond this with large images


def profile(image: TensorInfo, shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Least, typical and greatest shape of the input, as a builder wants them.

    Args:
        image: The input; what is a number in its shape stays that number.
        shape: What the target says of height and width. Without a typical size it is twice the least, at most the
            greatest.

    Returns:
        Three shapes (N, C, H, W), each axis in ascending order.
    """
    low, high = shape.minimum or _LEAST, shape.maximum or _GREATEST
    usual = shape.typical
    if usual is None:
        usual = (min(2 * low[0], high[0]), min(2 * low[1], high[1])) if shape.minimum else _TYPICAL
    high = (max(high[0], usual[0]), max(high[1], usual[1]))
    low = (min(low[0], usual[0]), min(low[1], usual[1]))
    channels = int(image.shape[1])
    wanted = ((1, channels, *low), (1, channels, *usual), (_BATCH, channels, *high))
    least, typical, greatest = (
        tuple(side if isinstance(side, int) else free for side, free in zip(image.shape, free_shape, strict=True))
        for free_shape in wanted
    )
    return least, typical, greatest
