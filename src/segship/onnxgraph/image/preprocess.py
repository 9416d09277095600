"""Preprocessing as operators: what `segship.vision` does to an image, in a graph.

Sizes and positions are whole numbers as long as they can be, so that engines that have no double precision agree with
those that have it. OpenCV's bilinear resize of bytes is the same to the bit: weights of eleven bits, one pass along
each axis, and the shifts between them. Pillow's is, too, as long as Pillow goes along the rows first: since its version
13 it goes along the columns first where the height shrinks much more than the width, which rounds otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from segship.core.errors import UnsupportedError
from segship.core.spec import (
    Letterbox,
    Pad,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
)

if TYPE_CHECKING:
    from segship.core.spec import GeometryStep, Interpolation, ModelSpec
    from segship.onnxgraph.build import Builder, Value

__all__ = ["Prepared", "Size", "prepare"]

_ONE = 2048  # OpenCV's weights have eleven bits
_GREY = (9798, 19235, 3735)  # of red, green and blue in OpenCV's grey, of 2 ** 15
_SUPPORT = {"pillow_bilinear": 1.0, "pillow_bicubic": 2.0}
_CUBIC = -0.5  # Pillow's
_UNIT = 2.0**22  # Pillow's weights have as many bits

Size: TypeAlias = "tuple[Value, Value]"


class Prepared:
    """What the network is given, and how its logits find back.

    Args:
        tensor: float32 (1, C, H, W).
        sizes: (height, width) of the image before the first step and after each.
        padded: (height, width) of ``tensor``.
    """

    def __init__(self, tensor: Value, sizes: list[Size], padded: Size) -> None:
        self.tensor, self.sizes, self.padded = tensor, sizes, padded


def prepare(b: Builder, image: Value, spec: ModelSpec) -> Prepared:
    """Geometry, channel order, normalisation and padding of an image.

    Args:
        b: Takes the operators.
        image: uint8 (H, W, 3), RGB.
        spec: What the network expects.

    Raises:
        UnsupportedError: The network does not see photographs.
    """
    if spec.pixels != "uint8":
        raise UnsupportedError("a graph that prepares images takes photographs; this network takes bands as stored")
    sizes: list[Size] = [(b.length(image, 0), b.length(image, 1))]
    pixels = _grey(b, image) if spec.channels == 1 else image
    for step in spec.geometry:
        sizes.append(_output_size(b, step, *sizes[-1]))
        if isinstance(step, Pad):
            pixels = _pad(b, pixels, step, sizes[-2], sizes[-1], spec.channels)
        else:
            pixels = _resize(b, pixels, sizes[-2], sizes[-1], getattr(step, "interpolation", "bilinear"))
    if spec.channels > 1 and spec.normalization.channel_order == "bgr":
        pixels = b.take(pixels, b.constant([2, 1, 0], "int64"), 2)
    rule = spec.normalization
    planes = b.add("Transpose", pixels.to("float32"), perm=[2, 0, 1])
    mean, std = (b.reshape(b.constant(values, "float32"), (-1, 1, 1)) for values in (rule.mean, rule.std))
    tensor = b.add("Unsqueeze", (planes - mean) / std, b.constant(0, "int64"))
    if spec.padding is None:
        return Prepared(tensor, sizes, sizes[-1])
    padded = _padded(sizes[-1], (spec.padding.height, spec.padding.width), spec.padding.multiple_of)
    none = b.constant([0, 0, 0, 0, 0, 0], "int64")
    pads = b.join(none, padded[0] - sizes[-1][0], padded[1] - sizes[-1][1])
    value = b.add("Squeeze", b.constant(spec.padding.value, "float32"))
    return Prepared(b.add("Pad", tensor, pads, value), sizes, padded)


def _grey(b: Builder, image: Value) -> Value:
    """(H, W, 1)."""
    weighted = image.to("float32") * b.constant(_GREY, "float32")  # whole numbers, and exact
    total = b.add("ReduceSum", weighted, b.constant(2, "int64"), keepdims=1)
    return b.add("Floor", (total + 2.0**14) * 2.0**-15).to("uint8")


def _output_size(b: Builder, step: GeometryStep, height: Value, width: Value) -> Size:
    """As `segship.vision.geometry.output_size`."""
    if isinstance(step, Letterbox):
        raise UnsupportedError(
            "a graph that prepares images cannot put them in the middle of a frame: leave --embed out"
        )
    if isinstance(step, Pad):
        return _padded((height, width), (step.height, step.width), step.multiple_of)
    if isinstance(step, ResizeToMultiple):
        return _padded((height, width), (None, None), step.multiple_of)
    if isinstance(step, ResizeByEdge):
        return _by_edge(b, step, height, width)
    if isinstance(step, ResizeEdges):
        return _edges(b, step, height, width)
    if isinstance(step, ResizeNear):
        return _near(b, step, height, width)
    return _by_limits(b, step, height, width)


def _by_limits(b: Builder, step: Resize | ResizeShortestEdge, height: Value, width: Value) -> Size:
    if isinstance(step, Resize):
        if not step.keep_ratio:
            return b.constant(step.height, "int64"), b.constant(step.width, "int64")
        sides = sorted((step.height, step.width), reverse=True)
        most, least = (b.constant(side, "int64") for side in sides)
        return _within(most, least, height, width)
    short, long = height.minimum(width), height.maximum(width)
    most = _rounded(step.size * long, short).minimum(step.max_size)
    least = _rounded(step.max_size * short, long).minimum(step.size)
    return _within(most.maximum(least), most.minimum(least), height, width)


def _rounded(over: Value, under: Value) -> Value:
    """The nearest whole number to a fraction, of two the greater."""
    return (2 * over + under) // (2 * under)


def _within(most: Value, least: Value, height: Value, width: Value) -> Size:
    """The largest size of the same aspect ratio whose long and short edge stay within the two limits."""
    short, long = height.minimum(width), height.maximum(width)
    # Of the two scales the smaller one counts, and rounding keeps their order.
    rows, columns = (_rounded(side * most, long).minimum(_rounded(side * least, short)) for side in (height, width))
    return rows, columns


def _edges(b: Builder, step: ResizeEdges, height: Value, width: Value) -> Size:
    short, long = height.minimum(width), height.maximum(width)
    real_short, real_long = short.to("float64"), long.to("float64")
    if step.enlarge_only:
        new_short = short.maximum(step.short)
        new_long = long.maximum((real_long / real_short * step.short).to("int64"))
    else:
        exact = b.constant(step.short, "float64")
        if step.long is not None:
            exact = exact.minimum(step.long * real_short / real_long)
        new_short = b.add("Round", exact).to("int64")
        # An image whose short edge is right already is left alone.
        changes = b.add("Abs", new_short - short).minimum(1)
        new_long = _chosen(changes, (exact * real_long / real_short).to("int64"), long)
    tall = (height - width).maximum(0).minimum(1)
    size = _chosen(tall, new_long, new_short), _chosen(tall, new_short, new_long)
    return _padded(size, (None, None), step.multiple_of)


def _chosen(first: Value, one: Value, other: Value) -> Value:
    """``one`` where ``first`` is 1, ``other`` where it is 0."""
    return other + (one - other) * first


def _by_edge(b: Builder, step: ResizeByEdge, height: Value, width: Value) -> Size:
    lengths = ((step.short, height.minimum(width)), (step.long, height.maximum(width)))
    factors = [wanted / found.to("float64") for wanted, found in lengths if wanted is not None]
    factor = factors[0].minimum(factors[-1])
    rows, columns = (b.add("Round", side.to("float64") * factor).to("int64") for side in (height, width))
    return rows, columns


def _near(b: Builder, step: ResizeNear, height: Value, width: Value) -> Size:
    rows, columns = height.to("float64"), width.to("float64")
    tall, wide = step.height / rows, step.width / columns
    scale = b.where(b.add("Abs", 1 - wide) < b.add("Abs", 1 - tall), wide, tall)
    new = [b.add("Round", scale * side / step.multiple_of).to("int64") * step.multiple_of for side in (rows, columns)]
    return new[0], new[1]


def _padded(size: Size, to: tuple[int | None, int | None], multiple_of: int | None) -> Size:
    multiple = multiple_of or 1
    sides = [side if least is None else side.maximum(least) for side, least in zip(size, to, strict=True)]
    if multiple == 1:
        return sides[0], sides[1]
    rows, columns = ((side + (multiple - 1)) // multiple * multiple for side in sides)
    return rows, columns


def _pad(b: Builder, pixels: Value, step: Pad, size: Size, padded: Size, channels: int) -> Value:
    """Pad at the bottom and right with the step's value, which is written for BGR."""
    values = step.value[::-1] if len(step.value) == channels else (step.value[0],) * channels
    whole = pixels.dtype == "uint8" and all(number.is_integer() for number in values)
    dtype = "int32" if whole else "float32"
    value = b.constant(values, dtype)
    none, three = b.constant(0, "int64"), b.constant([0, 0, 0], "int64")
    pads = b.join(three, padded[0] - size[0], padded[1] - size[1], none)
    padded_pixels = b.add("Pad", pixels.to(dtype) - value, pads) + value
    return padded_pixels.to("uint8") if whole else padded_pixels


def _resize(b: Builder, pixels: Value, size: Size, new: Size, interpolation: Interpolation) -> Value:
    """(H', W', C) from (H, W, C)."""
    if interpolation in _SUPPORT:
        for axis in (1, 0):
            pixels = _filtered(b, pixels, size[axis], new[axis], interpolation, axis)
        return pixels
    columns, rows = _Taps(b, size[1], new[1], rows=False), _Taps(b, size[0], new[0], rows=True)
    if interpolation == "float_bilinear" or pixels.dtype != "uint8":
        return rows.mixed(columns.mixed(pixels.to("float32"), 1), 0)
    first, second = columns.parts(pixels, 1)
    sums = ((first + second) // 16).to("int32")
    first, second = rows.parts(sums, 0)
    return ((first // 65536 + second // 65536 + 2) // 4).to("uint8")


class _Taps:
    """OpenCV's two neighbours of each position along an axis, and how much each counts.

    Args:
        b: Takes the operators.
        old, new: Length of the axis before and after.
        rows: Whether it is the first axis, where OpenCV lets both neighbours be the outermost row.
    """

    def __init__(self, b: Builder, old: Value, new: Value, *, rows: bool) -> None:
        self._b = b
        place = b.count(new)
        # One whole number more, so that none is negative: the first positions of an enlarged image lie before its edge.
        over, under = (2 * place + 1) * old + new, 2 * new
        whole = over // under
        fraction = (over - whole * under).to("float32") / under.to("float32")
        at = (whole - 1).to("float32") + fraction  # which OpenCV has in single precision
        low = b.add("Floor", at)
        fraction = at - low
        if not rows:
            outside = b.add("Or", low < 0, low > (old - 2).to("float32"), dtype="bool")
            fraction = b.where(outside, b.constant(0, "float32"), fraction)
        self._fraction, low = fraction, low.to("int64")
        last = old - 1
        self._cells = [cell.maximum(0).minimum(last) for cell in (low, low + 1)]

    def parts(self, pixels: Value, axis: int) -> tuple[Value, Value]:
        """Each neighbour times its weight of eleven bits, as int32."""
        first, second = (
            self._b.add("Round", share * _ONE).to("int32") for share in (1 - self._fraction, self._fraction)
        )
        return self._weighed(pixels.to("int32"), axis, (first, second))

    def mixed(self, pixels: Value, axis: int) -> Value:
        """The sum of the neighbours, each times its weight, as float32."""
        first, second = self._weighed(pixels, axis, (1 - self._fraction, self._fraction))
        return first + second

    def _weighed(self, pixels: Value, axis: int, weights: tuple[Value, Value]) -> tuple[Value, Value]:
        b = self._b
        found = []
        for cells, weight in zip(self._cells, weights, strict=True):
            taken = b.take(pixels, cells, axis)
            if axis == 0:
                found.append(taken * b.reshape(weight, (-1, 1, 1)))
                continue
            # Channels beside one another, each with its own weight: engines are slow at repeating one for so few.
            every = b.add("Expand", b.reshape(weight, (-1, 1)), b.join(b.constant(1, "int64"), b.length(pixels, 2)))
            product = b.reshape(taken, (0, -1)) * b.reshape(every, (1, -1))
            found.append(b.add("Reshape", product, b.add("Shape", taken, dtype="int64")))
        first, second = found
        return first, second


def _filtered(b: Builder, pixels: Value, old: Value, new: Value, interpolation: Interpolation, axis: int) -> Value:
    """One pass of Pillow's resize, rounded to bytes: each position is a weighted mean of all that its filter covers."""
    places, cells = b.reshape(b.count(new), (-1, 1)), b.reshape(b.count(old), (1, -1))
    widened = old.maximum(new)  # where it shrinks, the filter is as wide as the step
    distance = ((2 * cells + 1) * new - (2 * places + 1) * old).to("float64") / (2 * widened).to("float64")
    weight = _kernel(b, b.add("Abs", distance), interpolation)
    weight = weight / b.add("ReduceSum", weight, b.constant(1, "int64"), keepdims=1)
    whole = b.add("Sign", weight) * b.add("Floor", b.add("Abs", weight) * _UNIT + 0.5)  # as Pillow rounds them
    # The axis that changes goes to the front, for one product of matrices.
    order = [0, 1, 2] if axis == 0 else [1, 0, 2]
    front = b.add("Transpose", pixels.to("float64"), perm=order)
    product = b.add("MatMul", whole, b.add("Flatten", front, axis=1))
    shape = b.join(new, b.length(front, 1), b.length(front, 2))
    found = b.add("Transpose", b.add("Reshape", product, shape), perm=order)
    return b.add("Floor", (found + _UNIT / 2) / _UNIT).maximum(0.0).minimum(255.0).to("uint8")


def _kernel(b: Builder, distance: Value, interpolation: Interpolation) -> Value:
    """The filter's weight at distances that are not negative."""
    if interpolation == "pillow_bilinear":
        return (1.0 - distance).maximum(0.0)
    near = ((_CUBIC + 2.0) * distance - (_CUBIC + 3.0)) * distance * distance + 1.0
    far = (((distance - 5.0) * distance + 8.0) * distance - 4.0) * _CUBIC
    return b.where(distance < 1.0, near, b.where(distance < 2.0, far, 0.0 * distance))  # noqa: PLR2004
