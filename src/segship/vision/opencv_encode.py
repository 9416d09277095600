"""OpenCV's encoder, whose errors are Python's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["encode_by_opencv"]


def encode_by_opencv(suffix: str, image: NDArray[Any], options: Sequence[int]) -> bytes:
    """Encode an image as ``cv2.imencode`` does.

    Args:
        suffix: Of the format: ``".png"``.
        image: uint8 or uint16 (H, W), or uint8 (H, W, 3) in the order blue, green, red.
        options: As OpenCV takes them: names and values in turns.

    Raises:
        InputError: The format does not hold such an image.
        MemoryError: There is too little memory for it.
    """
    try:
        done, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise
    if not done:
        raise InputError(f"the image of shape {image.shape} cannot be encoded as {suffix}")
    return data.tobytes()
