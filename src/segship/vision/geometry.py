"""Geometry of an image before it is normalised: resize and pad, as `segship.core.geometry_steps` plans them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from segship.vision.filters import resize_as_torchvision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.core.geometry_steps import ImageStep, Interpolation

__all__ = ["Pixels", "apply"]

Pixels: TypeAlias = "NDArray[np.uint8 | np.uint16 | np.float32]"

_UNROUNDED = ("float_bilinear", "float_antialiased")
_TORCHVISION = ("torchvision_bilinear", "torchvision_bicubic")
# Names of Pillow's filters; of torchvision's for other numbers than bytes.
_PILLOW = dict.fromkeys(("pillow_bilinear", "float_antialiased", _TORCHVISION[0]), "BILINEAR")
_PILLOW |= dict.fromkeys(("pillow_bicubic", _TORCHVISION[1]), "BICUBIC")


def apply(step: ImageStep, image: Pixels, *, rgb: bool = False) -> Pixels:
    """Run one step.

    Args:
        step: What to do.
        image: uint8, uint16 or float32 (H, W, C).
        rgb: Whether the channels are in RGB order; margins are given for BGR.

    Returns:
        (H', W', C) of the planned size, of the same type, or float32 after a step that does not round or pads with a
        fraction; the image itself where nothing changes.

    Raises:
        InputError: The image would have no pixels left.
    """
    size = (image.shape[0], image.shape[1])
    plan = step.plan(*size)
    if plan.size == size:
        return image
    inner = image if plan.inner == size else _resize(image, plan.inner[::-1], step.resampling)
    if plan.inner == plan.size:
        return inner
    margin = step.margin if len(step.margin) == image.shape[2] else step.margin[:1] * image.shape[2]
    return _framed(inner, plan.size, plan.origin, margin[::-1] if rgb else margin)


def _framed(image: Pixels, size: tuple[int, int], origin: tuple[int, int], value: tuple[float, ...]) -> Pixels:
    """``image`` at ``origin`` (top, left) of a larger one of ``size`` (height, width)."""
    height, width, channels = image.shape
    whole = image.dtype.kind == "f" or all(number.is_integer() for number in value)
    framed = np.empty((*size, channels), image.dtype if whole else np.float32)
    framed[:] = np.asarray(value)
    framed[origin[0] : origin[0] + height, origin[1] : origin[1] + width] = image
    return framed


def _resize(image: Pixels, size: tuple[int, int], interpolation: Interpolation) -> Pixels:
    """``image`` at ``size`` (width, height)."""
    if interpolation in _UNROUNDED:
        image = image.astype(np.float32, copy=False)
    if interpolation in _TORCHVISION and image.dtype == np.uint8:
        return resize_as_torchvision(np.asarray(image, np.uint8), size[::-1], cubic=interpolation == _TORCHVISION[1])
    if interpolation not in _PILLOW:
        with _opencv_alone():
            return _three_axes(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    from PIL import Image  # takes longer to import than an image to prepare

    bands, filtered = (image[:, :, band] for band in range(image.shape[2])), Image.Resampling[_PILLOW[interpolation]]
    resized = [np.asarray(Image.fromarray(band).resize(size, filtered)) for band in bands]
    return np.stack(resized, axis=2)


@contextlib.contextmanager
def _opencv_alone() -> Iterator[None]:
    """Without Intel's library, which interpolates float32 with weights of its own on Intel's processors only.

    What is switched is the thread's own setting.
    """
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(used)


def _three_axes(image: NDArray[Any]) -> Pixels:
    """OpenCV drops the last axis of single-channel images."""
    array: Pixels = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]
