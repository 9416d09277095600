"""Preprocessing as operators: what `segship.vision` does to an image, in a graph.

Sizes and positions are whole numbers as long as they can be, so that engines that have no double precision agree with
those that have it. OpenCV's bilinear resize of bytes is the same to the bit: weights of eleven bits, one pass along
each axis, and the shifts between them. Pillow's is, too, as long as Pillow goes along the rows first: since its version
13 it goes along the columns first where the height shrinks much more than the width, which rounds otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.errors import UnsupportedError
from segship.core.geometry_steps import Pad
from segship.onnxgraph.image.sizes import output_size, padded_size

if TYPE_CHECKING:
    from segship.core.geometry_steps import Interpolation
    from segship.core.spec import ModelSpec
    from segship.onnxgraph.build import Builder, Value
    from segship.onnxgraph.image.sizes import Size

__all__ = ["Preprocessed", "add_preprocess"]

_ONE = 2048  # OpenCV's weights have eleven bits
_GREY = (9798, 19235, 3735)  # of red, green and blue in OpenCV's grey, of 2 ** 15
_ANTIALIASED = "float_antialiased"
_FILTERS = {"pillow_bilinear", "pillow_bicubic", "torchvision_bilinear", "torchvision_bicubic", _ANTIALIASED}
_CUBIC = -0.5  # Pillow's
_UNIT = 2.0**22  # Pillow's weights have as many bits


class Preprocessed:
    """The network's input as values of a graph, with the sizes by which its logits find back to the image.

    Args:
        tensor: float32 (1, C, H, W).
        sizes: (height, width) of the image before the first step and after each.
        padded: (height, width) of ``tensor``.
    """

    def __init__(self, tensor: Value, sizes: list[Size], padded: Size) -> None:
        self.tensor, self.sizes, self.padded = tensor, sizes, padded


def add_preprocess(b: Builder, image: Value, spec: ModelSpec, *, branches: bool = False) -> Preprocessed:
    """Add the geometry, channel order, normalisation and padding of an image.

    Args:
        b: Takes the operators.
        image: uint8 (H, W, 3), RGB.
        spec: What the network expects.
        branches: Leave an image of the right size alone by a branch, where the engine computes branches; else it is
            resized to its own size.

    Returns:
        The tensor that the network takes.

    Raises:
        UnsupportedError: The network does not see photographs.
    """
    if spec.pixels != "uint8":
        raise UnsupportedError("a graph that prepares images takes photographs; this network takes bands as stored")
    spec.require_common("A graph that prepares images")
    size = b.length(image, 0), b.length(image, 1)
    pixels = image.to("float32")  # and no bytes from here on: TensorRT has none inside a graph
    if spec.channels == 1:
        pixels = _grey(b, pixels)
    pixels, sizes = _geometry(b, pixels, size, spec, branches=branches)
    tensor = _normalised(b, pixels, spec)
    if spec.padding is None:
        return Preprocessed(tensor, sizes, sizes[-1])
    padded = padded_size(sizes[-1], (spec.padding.height, spec.padding.width), spec.padding.multiple_of)
    none = b.constant([0, 0, 0, 0, 0, 0], "int64")
    pads = b.join(none, padded[0] - sizes[-1][0], padded[1] - sizes[-1][1])
    value = b.add("Squeeze", b.constant(spec.padding.value, "float32"))
    return Preprocessed(b.add("Pad", tensor, pads, value), sizes, padded)


def _geometry(b: Builder, pixels: Value, size: Size, spec: ModelSpec, *, branches: bool) -> tuple[Value, list[Size]]:
    """The steps one after the other, and the sizes between them."""
    sizes, whole = [size], True
    for step in spec.geometry:
        sizes.append(output_size(step, b, *sizes[-1]))
        if isinstance(step, Pad):
            pixels = _pad(b, pixels, step, sizes[-2], sizes[-1], spec.channels)
            whole = whole and all(number.is_integer() for number in step.value)
        else:
            kind = step.resampling if whole or step.resampling in _FILTERS else "float_bilinear"
            resize = _resize_unless_right if branches else _resize
            pixels = resize(b, pixels, sizes[-2], sizes[-1], kind)
            whole = kind not in {"float_bilinear", _ANTIALIASED}
    return pixels, sizes


def _normalised(b: Builder, pixels: Value, spec: ModelSpec) -> Value:
    """(1, C, H, W) of the channels in the network's order; in float32, as not every engine has double precision."""
    if spec.channels > 1 and spec.normalization.channel_order == "bgr":
        pixels = b.take(pixels, b.constant([2, 1, 0], "int64"), 2)
    rule = spec.normalization
    planes = b.add("Transpose", pixels, perm=[2, 0, 1])
    mean, std = (b.reshape(b.constant(values, "float32"), (-1, 1, 1)) for values in (rule.mean, rule.std))
    return b.add("Unsqueeze", (planes - mean) / std, b.constant(0, "int64"))


def _grey(b: Builder, image: Value) -> Value:
    """(H, W, 1)."""
    weighted = image * b.constant(_GREY, "float32")  # whole numbers, and exact
    total = b.add("ReduceSum", weighted, b.constant(2, "int64"), keepdims=1)
    return b.add("Floor", (total + 2.0**14) * 2.0**-15)


def _pad(b: Builder, pixels: Value, step: Pad, size: Size, padded: Size, channels: int) -> Value:
    """Pad at the bottom and right with the step's value, which is written for BGR."""
    values = step.value[::-1] if len(step.value) == channels else (step.value[0],) * channels
    value = b.constant(values, "float32")
    none, three = b.constant(0, "int64"), b.constant([0, 0, 0], "int64")
    pads = b.join(three, padded[0] - size[0], padded[1] - size[1], none)
    return b.add("Pad", pixels - value, pads) + value


def _resize_unless_right(b: Builder, pixels: Value, size: Size, new: Size, interpolation: Interpolation) -> Value:
    """(H', W', C) from (H, W, C); an image that has the size already costs nothing."""
    rows, columns = (old.maximum(side) - old.minimum(side) for old, side in zip(size, new, strict=True))
    differs = (rows + columns).to("float32") > 0
    return b.either(differs, lambda: _resize(b, pixels, size, new, interpolation), lambda: pixels)


def _resize(b: Builder, pixels: Value, size: Size, new: Size, interpolation: Interpolation) -> Value:
    """(H', W', C) from (H, W, C)."""
    if interpolation in _FILTERS:
        for axis in (1, 0):
            pixels = _filtered(b, pixels, size[axis], new[axis], interpolation, axis)
        return pixels
    columns, rows = _Taps(b, size[1], new[1], rows=False), _Taps(b, size[0], new[0], rows=True)
    if interpolation == "float_bilinear":
        return rows.mixed(columns.mixed(pixels, 1), 0)
    first, second = columns.parts(pixels, 1)
    sums = b.add("Floor", (first + second) * 2.0**-4).to("int32")
    first, second = rows.parts(sums, 0)
    return ((first // 65536 + second // 65536 + 2) // 4).to("float32")


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
        """Each neighbour times its weight of eleven bits."""
        first, second = (
            self._b.add("Round", share * _ONE).to(pixels.dtype) for share in (1 - self._fraction, self._fraction)
        )
        return self._weighed(pixels, axis, (first, second))

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
    """One pass of Pillow's resize or torchvision's: positions are weighted means of cells, mostly rounded to bytes."""
    places, cells = b.reshape(b.count(new), (-1, 1)), b.reshape(b.count(old), (1, -1))
    widened = old.maximum(new)  # where it shrinks, the filter is as wide as the step
    distance = ((2 * cells + 1) * new - (2 * places + 1) * old).to("float64") / (2 * widened).to("float64")
    weight = _kernel(b, b.add("Abs", distance), interpolation)
    weight = weight / b.add("ReduceSum", weight, b.constant(1, "int64"), keepdims=1)
    rounded = interpolation != _ANTIALIASED
    unit = _unit(b, weight) if interpolation.startswith("torchvision") else b.constant(_UNIT, "float64")
    if rounded:
        weight = b.add("Sign", weight) * b.add("Floor", b.add("Abs", weight) * unit + 0.5)  # as both round them
    # The axis that changes goes to the front, for one product of matrices.
    order = [0, 1, 2] if axis == 0 else [1, 0, 2]
    front = b.add("Transpose", pixels.to("float64"), perm=order)
    product = b.add("MatMul", weight, b.add("Flatten", front, axis=1))
    shape = b.join(new, b.length(front, 1), b.length(front, 2))
    found = b.add("Transpose", b.add("Reshape", product, shape), perm=order)
    if not rounded:
        return found.to("float32")
    return b.add("Floor", (found + unit / 2) / unit).maximum(0.0).minimum(255.0).to("float32")


def _unit(b: Builder, weight: Value) -> Value:
    """The unit of torchvision's weights: the power of two with which the largest just fits into sixteen bits."""
    most = b.add("ReduceMax", weight, keepdims=0)
    powers = b.constant([2.0**bits for bits in range(1, 23)], "float64")
    fits = b.add("Floor", most * powers + 0.5) < 2.0**15
    return b.add("Pow", b.constant(2.0, "float64"), b.add("ReduceSum", fits.to("float64"), keepdims=0))


def _kernel(b: Builder, distance: Value, interpolation: Interpolation) -> Value:
    """The filter's weight at distances that are not negative."""
    if interpolation.endswith("bilinear") or interpolation == _ANTIALIASED:
        return (1.0 - distance).maximum(0.0)
    near = ((_CUBIC + 2.0) * distance - (_CUBIC + 3.0)) * distance * distance + 1.0
    far = (((distance - 5.0) * distance + 8.0) * distance - 4.0) * _CUBIC
    return b.where(distance < 1.0, near, b.where(distance < 2.0, far, 0.0 * distance))  # noqa: PLR2004
