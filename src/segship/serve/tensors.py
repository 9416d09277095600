"""Tensors of the Open Inference Protocol: from the wire to an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec

__all__ = ["TYPES", "Tensor", "image_of_tensor", "tensor_of", "tensor_of_numbers"]

TYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "FP32": np.dtype("<f4")}
"""The types of numbers, by the protocol's name."""

_LARGEST_BYTE = 255
_MOST_SIDES = 4


@dataclass(frozen=True)
class Tensor:
    """A tensor on the wire.

    Attributes:
        name: Of an input or output.
        datatype: ``UINT8``, ``UINT16``, ``FP32`` or ``BYTES``.
        shape: Of the array; of BYTES, how many elements there are.
        data: The array's bytes, little-endian; of BYTES, the element.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


def image_of_tensor(tensor: Tensor, spec: ModelSpec, max_pixels: int) -> Any:
    """The image that an input holds, as a Segmentor takes it.

    Args:
        tensor: The input.
        spec: What the network expects.
        max_pixels: Largest width times height that is taken.

    Raises:
        InputError: Its shape or its numbers are no image of this network's.
    """
    if tensor.datatype == "BYTES":
        return tensor.data
    shape = tensor.shape[1:] if len(tensor.shape) == 4 and tensor.shape[0] == 1 else tensor.shape  # noqa: PLR2004
    channels = spec.channels
    if len(shape) != 3 or shape[2] != channels:  # noqa: PLR2004
        raise InputError(
            f"the input is {tensor.datatype} {list(tensor.shape)}: expected BYTES [1], an encoded image, or pixels "
            f"[height, width, {channels}], RGB"
        )
    if shape[0] * shape[1] > max_pixels:
        raise InputError(f"an image of {shape[1]}x{shape[0]} pixels is above the limit of {max_pixels} pixels")
    pixels = np.frombuffer(tensor.data, TYPES[tensor.datatype]).reshape(shape)
    return pixels if spec.pixels == "multispectral" else _bytes(pixels)


def _bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The pixels of a photograph, which a client may send in any type, but not on another scale."""
    found = pixels.astype(np.uint8) if pixels.dtype != np.uint8 and _within_a_byte(pixels) else pixels
    if found.dtype != np.uint8 or not np.array_equal(found, pixels):
        raise InputError(
            "the pixels are no whole numbers of 0-255: send them as the image stores them; scaling and normalising is "
            "the package's part"
        )
    return found


def _within_a_byte(pixels: NDArray[Any]) -> bool:
    return bool(np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= _LARGEST_BYTE)


def tensor_of(name: object, datatype: object, shape: object, raw: bytes) -> Tensor:
    """The input of a request, from its bytes on the wire.

    Args:
        name: As the client gave it, as all that follows.
        datatype: ``BYTES``, ``UINT8``, ``UINT16`` or ``FP32``.
        shape: A list of at most four sides.
        raw: The array; of BYTES, four bytes of the element's length, then the element.

    Raises:
        InputError: They are something else, or do not fit together.
    """
    return _require_input(name, datatype, shape, _element(raw) if datatype == "BYTES" else raw)


def tensor_of_numbers(name: object, datatype: object, shape: object, data: object) -> Tensor:
    """The input of a request, from numbers that were sent one by one.

    Args:
        name: As the client gave it, as all that follows.
        datatype: ``UINT8``, ``UINT16`` or ``FP32``.
        shape: A list of at most four sides.
        data: A list of numbers, of lists if need be.

    Raises:
        InputError: They are something else, or do not fit together.
    """
    if datatype == "BYTES":
        raise InputError("an encoded image is sent as a binary tensor (binary_data_size): JSON holds no bytes")
    return _require_input(name, datatype, shape, _pack(data, datatype))


def _require_input(name: object, datatype: object, shape: object, data: bytes) -> Tensor:
    if name != "image":
        raise InputError("the input is called image")
    if not isinstance(datatype, str) or datatype not in ("BYTES", *TYPES):
        raise InputError(f"the input is BYTES, an encoded image, or {', '.join(TYPES)}, pixels")
    if not isinstance(shape, list) or not 0 < len(shape) <= _MOST_SIDES or not all(map(_is_side, shape)):
        raise InputError("the input's shape is no list of one to four positive numbers")
    sides = math.prod(shape)
    if not (sides == 1 if datatype == "BYTES" else sides * TYPES[datatype].itemsize == len(data)):
        raise InputError(f"the input's shape {shape!r:.60} does not fit its data")
    return Tensor("image", datatype, tuple(shape), data)


def _is_side(side: object) -> bool:
    return type(side) is int and side > 0


def _element(data: bytes) -> bytes:
    """The one element of a BYTES tensor: four bytes of its length, then it."""
    if len(data) < 4 or int.from_bytes(data[:4], "little") != len(data) - 4:  # noqa: PLR2004
        raise InputError("the BYTES tensor is no single element with its length before it")
    return data[4:]


def _pack(data: Any, datatype: object) -> bytes:
    if not isinstance(datatype, str) or datatype not in TYPES:
        return b""  # the type is refused with all else that is wrong with it
    dtype = TYPES[datatype]
    try:
        numbers = np.asarray(data)
    except ValueError:
        raise InputError("the input's data are no numbers") from None
    kinds, limits = ("iuf", np.finfo(dtype)) if dtype.kind == "f" else ("iu", np.iinfo(dtype))
    if numbers.dtype.kind not in kinds or not numbers.size or not _is_within(numbers, limits.min, limits.max):
        raise InputError(f"the input's data are no numbers of {datatype}")
    return numbers.astype(dtype).tobytes()


def _is_within(numbers: NDArray[Any], least: float, most: float) -> bool:
    return bool(numbers.min() >= least and numbers.max() <= most)
