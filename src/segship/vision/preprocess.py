"""From a decoded image to what the network takes, and the way back for its logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.spec import Resize
from segship.vision import geometry, native, statistics
from segship.vision.bands import as_stored
from segship.vision.trimming import trim_zeros
from segship.vision.upsample import Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import NDArray

    from segship.core.augmentation import Flip
    from segship.core.spec import Arithmetic, GeometryStep, ModelSpec, Normalization
    from segship.vision.trimming import Frame

    ChannelOrder = Literal["rgb", "bgr"]

__all__ = ["Prepared", "as_image", "inverse_steps", "prepare", "prepare_at", "prepared_size"]

_WORD = 2  # bytes of a number whose every value float32 holds, so that it is subtracted from as it is stored


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image, ready for the network.

    Attributes:
        tensor: float32 (1, C, H', W'), normalised and padded.
        size: (height, width) of the image before any step.
        steps: What is done to the logits of ``tensor``, in order, to bring them to ``size``.
        frame: Where an image lay of which borders were cut off; ``size`` is then that of what is left.
    """

    tensor: NDArray[np.float32]
    size: tuple[int, int]
    steps: tuple[Step, ...]
    frame: Frame | None = None


def as_image(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Check an image that a caller holds in memory.

    Args:
        array: uint8 (H, W, 3); (H, W, 4), whose last channel is alpha; or grey as (H, W) or (H, W, 1).

    Returns:
        uint8 (H, W, 3); grey is repeated in all three channels, alpha is dropped.

    Raises:
        InputError: It is anything else; the message says what was found.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"an image is a path, bytes, a Pillow image or a uint8 array (height, width, 3), not {type(array).__name__}"
        )
    array = np.asarray(array)  # np.matrix keeps two axes whatever is done to it
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in {1, 3, 4}:
        raise InputError(
            "an image is uint8 of shape (height, width, 3), (height, width, 4) with alpha, or grey (height, width); "
            f"found {array.dtype} of shape {array.shape}"
        )
    if array.size == 0:
        raise InputError(f"the image is empty: its shape is {array.shape}")
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3]) if channels > 3 else array


def prepare(
    image: NDArray[Any],
    spec: ModelSpec,
    *,
    channel_order: ChannelOrder = "bgr",
    flip: Flip | None = None,
    flip_before: int = 0,
) -> Prepared:
    """Geometry, channel order, normalisation, padding: the test pipeline of MMSegmentation, bit for bit.

    Args:
        image: uint8 (H, W, 3); all bands as stored, (H, W, C) of any kind of number, where the spec wants them.
        spec: What the network expects.
        channel_order: Order of the image's own channels; `segship.vision.decode` yields ``"bgr"``.
        flip: Direction in which the image is flipped, or None. What the network returns is then of the flipped image,
            and so is the way back.
        flip_before: How many steps of the geometry come after the flip.

    Returns:
        The network's input and the way back.

    Raises:
        InputError: The image cannot be brought to the network's size.
    """
    stored = spec.pixels == "multispectral"
    image = as_stored(image, spec.channels) if stored else as_image(image)
    if spec.trims_zeros:
        image, frame = trim_zeros(image)
        bare = spec.model_copy(update={"trims_zeros": False})
        prepared = prepare(image, bare, channel_order=channel_order, flip=flip, flip_before=flip_before)
        return replace(prepared, frame=frame if frame is None or flip is None else frame.flipped(flip))
    if stored:
        return _prepare_stored(image, spec, flip, flip_before)
    size = (image.shape[0], image.shape[1])
    order: ChannelOrder = channel_order
    if spec.channels == 1:
        code = cv2.COLOR_BGR2GRAY if order == "bgr" else cv2.COLOR_RGB2GRAY
        image = np.asarray(cv2.cvtColor(image, code), np.uint8)[:, :, None]
    pixels = _shaped(image, spec, flip, flip_before, rgb=order == "rgb")
    swap = spec.channels > 1 and order != spec.normalization.channel_order
    inner = (pixels.shape[0], pixels.shape[1])
    tensor = _normalised(pixels, spec, inner, swap=swap)
    return Prepared(tensor, size, inverse_steps(spec, size))


def prepare_at(image: NDArray[Any], spec: ModelSpec, size: tuple[int, int]) -> NDArray[np.float32]:
    """Prepare an image at a size of one's own, instead of the one that the spec makes.

    Args:
        image: As for `prepare`, in the order ``"bgr"``.
        spec: What the network expects; its geometry and its padding are left out.
        size: (height, width).

    Returns:
        float32 (1, C, height, width), normalised.
    """
    resize = Resize(height=size[0], width=size[1], keep_ratio=False)
    return prepare(image, spec.model_copy(update={"geometry": (resize,), "padding": None})).tensor


def _shaped(
    image: geometry.Pixels, spec: ModelSpec, flip: Flip | None, flip_before: int, *, rgb: bool = False
) -> geometry.Pixels:
    """The image after the geometry, within which it is flipped."""
    first = len(spec.geometry) - flip_before
    for step in spec.geometry[:first]:
        image = geometry.apply(step, np.ascontiguousarray(image), rgb=rgb)
    if flip is not None:
        image = np.ascontiguousarray(image[:, ::-1] if flip == "horizontal" else image[::-1])
    for step in spec.geometry[first:]:
        image = geometry.apply(step, np.ascontiguousarray(image), rgb=rgb)
    return image


def _prepare_stored(image: geometry.Pixels, spec: ModelSpec, flip: Flip | None, flip_before: int) -> Prepared:
    """As `prepare`, for bands of any number and kind, which keep their order."""
    size = (image.shape[0], image.shape[1])
    if spec.geometry or not spec.normalization.is_fixed or image.dtype.itemsize > _WORD:
        image = image.astype(np.float32)  # before it is resized, so that nothing is rounded
    image = _shaped(image, spec, flip, flip_before)
    tensor = _normalised(image, spec, (image.shape[0], image.shape[1]), swap=False)
    return Prepared(tensor, size, inverse_steps(spec, size))


def prepared_size(spec: ModelSpec, height: int, width: int) -> tuple[int, int]:
    """Return the size (height, width) of the network's input for an image of ``height`` x ``width`` pixels.

    Raises:
        InputError: The image cannot be brought to the network's size.
    """
    return _padded(spec, _geometry_sizes(spec.geometry, (height, width))[-1])


def _geometry_sizes(steps: Sequence[GeometryStep], size: tuple[int, int]) -> list[tuple[int, int]]:
    """The size before the first step and after each."""
    sizes = [size]
    for step in steps:
        sizes.append(step.plan(*sizes[-1]).size)
    return sizes


def _padded(spec: ModelSpec, size: tuple[int, int]) -> tuple[int, int]:
    return size if spec.padding is None else spec.padding.size(*size)


def _padding_value(spec: ModelSpec) -> float:
    return 0.0 if spec.padding is None else spec.padding.value


def _normalised(image: geometry.Pixels, spec: ModelSpec, size: tuple[int, int], *, swap: bool) -> NDArray[np.float32]:
    """float32 (1, C, H', W') of an image of ``size``, normalised and padded."""
    rule, padded, value = spec.normalization, _padded(spec, size), _padding_value(spec)
    if rule.is_fixed and (spec.padding is None or not spec.padding.center):
        return _normalise(image, rule, swap=swap, size=padded, value=value)
    tensor = np.full((1, image.shape[2], *padded), value, np.float32)
    top, left = (0, 0) if spec.padding is None else spec.padding.origin(*size)
    inside = tensor[0, :, top : top + size[0], left : left + size[1]]
    inside[:] = statistics.normalise(image[:, :, ::-1] if swap else image, rule)
    return tensor


@lru_cache(maxsize=16)
def _tables(normalization: Normalization) -> NDArray[np.float32]:
    """The normalised value of each byte, float32 (C, 256): one subtraction and one division."""
    number = normalization.arithmetic
    mean, std = (np.array(values, number)[:, None] for values in (normalization.mean, normalization.std))
    tables: NDArray[np.float32] = ((np.arange(256, dtype=number) - mean) / std).astype(np.float32)
    return tables


def _normalise(
    image: geometry.Pixels, normalization: Normalization, *, swap: bool, size: tuple[int, int], value: float
) -> NDArray[np.float32]:
    """Planes of normalised values at the top left of a tensor (1, C, *size), ``value`` elsewhere."""
    height, width, channels = image.shape
    tensor = np.empty((1, channels, *size), np.float32)
    tensor[:, :, height:] = value
    tensor[:, :, :height, width:] = value
    if native.is_used() and image.dtype == np.uint8 and image.flags.c_contiguous:
        native.normalise(np.asarray(image, np.uint8), _tables(normalization), tensor[0], flip=swap)
        return tensor
    for channel, table in enumerate(_tables(normalization)):
        plane = _plane(image, channels - 1 - channel if swap else channel)
        if image.dtype == np.uint8:
            cv2.LUT(plane, table, dst=tensor[0, channel, :height, :width])
        else:
            mean, std = normalization.mean[channel], normalization.std[channel]
            _scale(plane, mean, std, normalization.arithmetic, tensor[0, channel, :height, :width])
    return tensor


def _scale(plane: NDArray[Any], mean: float, std: float, arithmetic: Arithmetic, out: NDArray[np.float32]) -> None:
    """``(plane - mean) / std``; single precision works in place."""
    if arithmetic == "float32":
        np.subtract(plane, np.float32(mean), out=out)
        out /= np.float32(std)
    else:
        out[:] = np.subtract(plane, mean, dtype=arithmetic) / std


def _plane(image: geometry.Pixels, channel: int) -> NDArray[Any]:
    """One channel (H, W) of an image, which rasters hold plane by plane and pictures pixel by pixel."""
    plane = image[:, :, channel]
    return plane if plane.flags.c_contiguous else np.asarray(cv2.extractChannel(image, channel))


def inverse_steps(spec: ModelSpec, size: tuple[int, int]) -> tuple[Step, ...]:
    """Resizes and crops from the logits of the network's input to the image's own size."""
    sizes = _geometry_sizes(spec.geometry, size)
    framed = any(step.cuts_margin for step in spec.geometry)
    straight = spec.resize_logits == "directly" and spec.slide is None and not framed
    if straight and _padded(spec, sizes[-1]) == sizes[-1]:
        return (Step(size),)
    origin = (0, 0) if spec.padding is None else spec.padding.origin(*sizes[-1])
    decided = spec.resize_logits == "to_input"
    steps = [Step(_padded(spec, sizes[-1]), crop=sizes[-1], origin=origin)]
    for step, before, after in zip(reversed(spec.geometry), sizes[-2::-1], sizes[:0:-1], strict=True):
        if step.cuts_margin:
            plan = step.plan(*before)
            steps.append(Step(after, crop=plan.inner, origin=plan.origin, nearest=decided))
    steps.append(Step(size, nearest=decided))
    return tuple(steps)
