"""spec/README.md written down a second time, as plainly as NumPy can: no OpenCV, no Pillow, nothing of Segship.

What the text says is enough to make every golden vector; the tests hold it to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
Size = tuple[int, int]


def half_even(number: float) -> int:
    return round(number)


def up(side: int, multiple: int | None) -> int:
    return -(-side // (multiple or 1)) * (multiple or 1)


# -- sizes ---------------------------------------------------------------------------------------------------------


def within(limits: Size, height: int, width: int) -> Size:
    factor = min(max(limits) / max(height, width), min(limits) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def resize(step: Array, height: int, width: int) -> Size:
    return (
        within((step["width"], step["height"]), height, width)
        if step["keep_ratio"]
        else (step["height"], step["width"])
    )


def resize_shortest_edge(step: Array, height: int, width: int) -> Size:
    size = float(step["size"])
    factor = size / min(height, width)
    rows, columns = (size, factor * width) if height < width else (factor * height, size)
    longest = max(rows, columns)
    if longest > step["max_size"]:
        rows, columns = rows * (step["max_size"] / longest), columns * (step["max_size"] / longest)
    return within((int(columns + 0.5), int(rows + 0.5)), height, width)


def resize_to_multiple(step: Array, height: int, width: int) -> Size:
    return up(height, step["multiple_of"]), up(width, step["multiple_of"])


def resize_edges(step: Array, height: int, width: int) -> Size:
    short, long = min(height, width), max(height, width)
    if step["enlarge_only"]:
        sides = (short, long) if short >= step["short"] else (step["short"], int(long / short * step["short"]))
    else:
        exact = float(step["short"])
        if step["long"] is not None and long / short * step["short"] > step["long"]:
            exact = step["long"] * short / long
        sides = (short, long) if half_even(exact) == short else (half_even(exact), int(exact * long / short))
    rows, columns = sides if height <= width else sides[::-1]
    return up(rows, step["multiple_of"]), up(columns, step["multiple_of"])


def resize_by_edge(step: Array, height: int, width: int) -> Size:
    factors = [step["short"] / min(height, width)] if step["short"] else []
    factors += [step["long"] / max(height, width)] if step["long"] else []
    multiple = step.get("multiple_of", 1)
    return up(half_even(height * min(factors)), multiple), up(half_even(width * min(factors)), multiple)


def resize_near(step: Array, height: int, width: int) -> Size:
    tall, wide = step["height"] / height, step["width"] / width
    scale, multiple = (wide if abs(1 - wide) < abs(1 - tall) else tall), step["multiple_of"]
    return half_even(scale * height / multiple) * multiple, half_even(scale * width / multiple) * multiple


def resize_within(step: Array, height: int, width: int) -> Size:
    scale, multiple = min(step["height"] / height, step["width"] / width), step["multiple_of"]
    return up(int(height * scale), multiple), up(int(width * scale), multiple)


def letterbox(step: Array, height: int, width: int) -> tuple[Size, Size, Size]:
    scale = min(step["height"] / height, step["width"] / width)
    rows, columns = max(half_even(height * scale), 1), max(half_even(width * scale), 1)
    origin = half_even((step["height"] - rows) / 2 - 0.1), half_even((step["width"] - columns) / 2 - 0.1)
    return (step["height"], step["width"]), (rows, columns), origin


def padded(step: Array, height: int, width: int) -> Size:
    rows, columns = max(height, step["height"] or 0), max(width, step["width"] or 0)
    return up(rows, step["multiple_of"]), up(columns, step["multiple_of"])


def placement(step: Array, height: int, width: int) -> tuple[Size, Size, Size]:
    """(size, inner, origin)."""
    if step["kind"] == "letterbox":
        return letterbox(step, height, width)
    if step["kind"] == "pad":
        return padded(step, height, width), (height, width), (0, 0)
    size = globals()[step["kind"]](step, height, width)
    return size, size, (0, 0)


# -- pixels --------------------------------------------------------------------------------------------------------


def places(cells: int, positions: int) -> tuple[Array, Array]:
    """First source cell and float32 fraction of each position: section "bilinear"."""
    scale = 1.0 / (positions / cells)
    source = ((np.arange(positions) + 0.5) * scale - 0.5).astype(np.float32)
    low = np.floor(source).astype(np.int64)
    return low, (source - low.astype(np.float32)).astype(np.float32)


def bilinear_bytes(image: Array, size: Size) -> Array:
    (top, down), (left, across) = places(image.shape[0], size[0]), places(image.shape[1], size[1])
    outside = (left < 0) | (left >= image.shape[1] - 1)
    across = np.where(outside, np.float32(0), across)
    left = left.clip(0, image.shape[1] - 1)
    right = np.minimum(left + 1, image.shape[1] - 1)
    whole = [np.rint((1 - share) * np.float32(2048)).astype(np.int64) for share in (across, down)]
    part = [np.rint(share * np.float32(2048)).astype(np.int64) for share in (across, down)]
    pixels = image.astype(np.int64)
    lines = pixels[:, left] * whole[0][:, None] + pixels[:, right] * part[0][:, None]
    first, second = (lines[(top + step).clip(0, image.shape[0] - 1)] for step in (0, 1))
    blended = ((whole[1][:, None, None] * (first >> 4)) >> 16) + ((part[1][:, None, None] * (second >> 4)) >> 16)
    return ((blended + 2) >> 2).clip(0, 255).astype(np.uint8)


def bilinear_floats(image: Array, size: Size) -> Array:
    for axis in (1, 0):
        low, share = places(image.shape[axis], size[axis])
        first, second = (image.take((low + step).clip(0, image.shape[axis] - 1), axis) for step in (0, 1))
        weight = share.reshape((-1, 1) if axis else (-1, 1, 1))
        image = first * (1 - weight) + second * weight
    return image.astype(np.float32)


def triangle(distance: float) -> float:
    return max(0.0, 1.0 - abs(distance))


def cubic(distance: float) -> float:
    x, a = abs(distance), -0.5
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def pillow_axis(image: Array, positions: int, kernel: str) -> Array:
    """Resize the first axis: section "Pillow's filters"."""
    cells, reach = len(image), (1.0 if kernel.endswith("bilinear") else 2.0)
    if cells == positions:
        return image
    scale = cells / positions
    widened = max(scale, 1.0)
    whole = image.dtype == np.uint8
    out = np.empty((positions, *image.shape[1:]), image.dtype)
    weighed: list[tuple[int, int, Array]] = []
    for position in range(positions):
        center = (position + 0.5) * scale
        first = max(int(center - reach * widened + 0.5), 0)
        last = min(int(center + reach * widened + 0.5), cells)
        shape = triangle if kernel.endswith("bilinear") else cubic
        weights = np.array([shape((cell - center + 0.5) * (1.0 / widened)) for cell in range(first, last)])
        weights *= 1.0 / weights.sum()
        weighed.append((first, last, weights))
    bits = 22
    if kernel.startswith("torchvision"):
        most = max(weights.max() for _, _, weights in weighed)
        bits = next(bits for bits in range(23) if bits == 22 or int(0.5 + most * 2 ** (bits + 1)) >= 2**15)
    for position, (first, last, weights) in enumerate(weighed):
        if whole:
            exact = np.array([int(weight * 2**bits + (0.5 if weight >= 0 else -0.5)) for weight in weights])
            total = np.tensordot(exact, image[first:last].astype(np.int64), 1) + 2 ** (bits - 1)
            out[position] = (total >> bits).clip(0, 255)
        else:
            out[position] = np.tensordot(weights, image[first:last].astype(np.float64), 1)
    return out


def resampled(image: Array, size: Size, kind: str) -> Array:
    if kind == "float_antialiased":
        return resampled(image.astype(np.float32), size, "pillow_bilinear")
    if kind.startswith(("pillow", "torchvision")):
        lower, narrower = image.shape[0] - size[0], image.shape[1] - size[1]
        bytes_of_torchvision = kind.startswith("torchvision") and image.dtype == np.uint8
        if lower > 0 and lower > 2 * narrower and not bytes_of_torchvision:
            return pillow_axis(pillow_axis(image, size[0], kind).swapaxes(0, 1), size[1], kind).swapaxes(0, 1)
        across = pillow_axis(image.swapaxes(0, 1), size[1], kind).swapaxes(0, 1)
        return pillow_axis(across, size[0], kind)
    if kind == "float_bilinear" or image.dtype != np.uint8:
        return bilinear_floats(image.astype(np.float32), size)
    return bilinear_bytes(image, size)


def framed(image: Array, size: Size, origin: Size, value: list[float]) -> Array:
    channels = image.shape[2]
    value = value if len(value) == channels else [value[0]] * channels
    if image.dtype == np.uint8 and any(number != int(number) for number in value):
        image = image.astype(np.float32)
    out = np.empty((*size, channels), image.dtype)
    out[:] = value
    out[origin[0] : origin[0] + image.shape[0], origin[1] : origin[1] + image.shape[1]] = image
    return out


def grey(rgb: Array) -> Array:
    red, green, blue = (rgb[:, :, channel].astype(np.int64) for channel in range(3))
    return ((red * 9798 + green * 19235 + blue * 3735 + 2**14) >> 15).astype(np.uint8)[:, :, None]


def network_input(image: Array, spec: Array) -> tuple[Array, list[Array]]:
    """The input (1, C, H, W), and the way back as entries of the index have it."""
    stored, normal = spec["pixels"] == "multispectral", spec["normalization"]
    pixels = image.astype(np.float32) if stored else image[:, :, ::-1]
    if not stored and len(normal["mean"]) == 1:
        pixels = grey(image)
    original, crops = pixels.shape[:2], []
    for step in spec["geometry"]:
        size, inner, origin = placement(step, *pixels.shape[:2])
        if inner != pixels.shape[:2]:
            pixels = resampled(pixels, inner, step.get("interpolation", "bilinear"))
        if size != inner:
            pixels = framed(pixels, size, origin, step.get("value", [0.0]))
        if step["kind"] == "letterbox" or step.get("crop"):
            crops.append({"size": list(size), "crop": list(inner), "origin": list(origin)})
    if not stored and pixels.shape[2] == 3 and normal["channel_order"] == "rgb":
        pixels = pixels[:, :, ::-1]
    number = normal.get("arithmetic", "float32")
    mean, std = np.array(normal["mean"], number), np.array(normal["std"], number)
    values = ((pixels.astype(number) - mean) / std).astype(np.float32)
    inner = pixels.shape[:2]
    size = padded(spec["padding"], *inner) if spec["padding"] else inner
    out = np.full((1, values.shape[2], *size), spec["padding"]["value"] if spec["padding"] else 0, np.float32)
    out[0, :, : inner[0], : inner[1]] = values.transpose(2, 0, 1)
    last = {"size": list(original), "crop": list(original), "origin": [0, 0]}
    if spec["resize_logits"] == "directly" and not spec["slide"] and not crops and size == inner:
        return out, [last]
    way = {"nearest": True} if spec["resize_logits"] == "to_input" else {}
    back = [step | way for step in (*crops[::-1], last)]
    return out, [{"size": list(size), "crop": list(inner), "origin": [0, 0]}, *back]


# -- the way back --------------------------------------------------------------------------------------------------


def weights(cells: int, positions: int, *, corners: bool, nearest: bool = False) -> Array:
    """The matrix (positions, cells) of one resize, of float32 weights."""
    destination = np.arange(positions, dtype=np.float64)
    if nearest:
        source = np.minimum(np.floor(destination * (1 / (positions / cells))), cells - 1).astype(np.float32)
    elif cells == positions:
        source = destination.astype(np.float32)
    elif corners:
        scale = np.float32(cells - 1) / np.float32(positions - 1) if positions > 1 else np.float32(0)
        source = (destination * np.float64(scale)).astype(np.float32)
    else:
        scale = np.float32(cells) / np.float32(positions)
        source = np.maximum((np.float64(scale) * (destination + 0.5) - 0.5).astype(np.float32), np.float32(0))
    low = np.minimum(source.astype(np.int64), cells - 1)
    share = np.clip(source - low.astype(np.float32), np.float32(0), np.float32(1))
    matrix = np.zeros((positions, cells))
    rows = np.arange(positions)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, np.minimum(low + 1, cells - 1)), share)
    return matrix


def starts(length: int, window: int, stride: int) -> list[int]:
    return [*range(0, length - window, stride), length - window]


def spread(length: int, window: int, stride: int) -> list[int]:
    last = length - window
    count = -(-last // stride) + 1
    if count == 1:
        return [0]
    return [int(i * (window - (count * window - length) / (count - 1))) for i in range(count - 1)] + [last]


def averaged(cells: int, length: int, slide: Array, side: int, *, corners: bool) -> Array:
    """The matrix from the cells of all windows of one axis, one window behind the other, to the input's positions."""
    window = min(slide["crop"][side], length)
    places = (spread if slide["spread"] else starts)(length, window, slide["stride"][side])
    matrix = np.zeros((length, cells * len(places)))
    for number, start in enumerate(places):
        matrix[start : start + window, number * cells : (number + 1) * cells] += weights(cells, window, corners=corners)
    count = sum(np.bincount(np.arange(start, start + window), minlength=length) for start in places)
    return matrix / np.asarray(count)[:, None]


def axis_operator(spec: Array, side: int, cells: int, length: int, steps: list[Array]) -> Array:
    corners, slide = spec["align_corners"], spec["slide"]
    chain = np.eye(cells)
    if slide:
        chain = averaged(cells, length, slide, side, corners=corners)
    for step in steps:
        matrix = weights(len(chain), step["size"][side], corners=corners, nearest=step.get("nearest", False))
        chain = matrix[step["origin"][side] :][: step["crop"][side]] @ chain
    return chain


def resized_logits(logits: Array, spec: Array, size: Size, steps: list[Array]) -> Array:
    """(K, H, W) at the image's size. A cell of weight zero has no say, whatever it holds."""
    rows, columns = (axis_operator(spec, side, logits.shape[2 + side], size[side], steps) for side in (0, 1))
    if spec["slide"]:
        lines, across = (matrix.shape[1] // logits.shape[2 + side] for side, matrix in enumerate((rows, columns)))
        grid = logits.reshape(lines, across, *logits.shape[1:])
        logits = grid.transpose(2, 0, 3, 1, 4).reshape(1, logits.shape[1], rows.shape[1], columns.shape[1])
    values, odd = logits[0].astype(np.float64), ~np.isfinite(logits[0])
    out = rows @ np.where(odd, 0, values) @ columns.T
    for label, row, column in zip(*np.nonzero(odd), strict=True):
        touched = np.ix_([label], np.nonzero(rows[:, row])[0], np.nonzero(columns[:, column])[0])
        out[touched] += values[label, row, column]
    return out


def logistic(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def softmax(values: Array) -> Array:
    raised = np.exp(values - values.max(axis=0))
    return raised / raised.sum(axis=0)


def decided(values: Array, spec: Array) -> tuple[Array, Array]:
    """Labels (H, W) and scores (K, H, W)."""
    inside = spec["returns"] == "probabilities"
    if spec["output"] == "sigmoid":
        scores = values if inside else logistic(values)
        return (scores[0] > spec["threshold"]).astype(np.uint8), scores
    labels = values.argmax(axis=0)
    return labels.astype(np.uint8 if len(spec["classes"]) <= 256 else np.uint16), values if inside else softmax(values)
