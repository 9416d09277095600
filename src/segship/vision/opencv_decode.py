"""OpenCV's decoder, which copies for Python what it decodes from memory: that holds a large picture twice.

Into an array that it is given it decodes without a copy, but from a file alone. So the bytes become one that has no
name and no place on a disk (Linux): the peak of memory falls to half, and so does the time of a large JPEG.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segship.vision.opencv_log import SILENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode_by_opencv"]

_LARGE = 1 << 20  # pixels from which on a copy costs more than a file
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_HAS_FILES = hasattr(os, "memfd_create") and Path("/proc/self/fd").exists() and "[, dst[" in str(cv2.imread.__doc__)


def decode_by_opencv(data: bytes, pixels: int = 0) -> NDArray[np.uint8] | None:
    """Decode as ``cv2.imdecode(data, cv2.IMREAD_COLOR)`` does.

    Args:
        data: An encoded image.
        pixels: That it has, by its header; 0: not known.

    Returns:
        uint8 (H, W, 3) in the order blue, green, red; None when the file is damaged.
    """
    with SILENCE:
        if pixels >= _LARGE and _HAS_FILES and _is_same_as_file(data):
            with contextlib.suppress(OSError):  # there may be no further file for this process
                return _decode_file(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _is_same_as_file(data: bytes) -> bool:
    """Whether OpenCV takes the same pixels from the bytes and from their file: of a JPEG without an end it does not."""
    return data.startswith(_PNG) or (data.startswith(_JPEG) and data.rfind(_END) > data.rfind(_SCAN) > 0)


def _decode_file(data: bytes) -> NDArray[np.uint8] | None:
    with os.fdopen(os.memfd_create("image"), "wb") as file:
        file.write(data)
        file.flush()
        # None in place of an array: OpenCV takes memory of NumPy's.
        image = cv2.imread(f"/proc/self/fd/{file.fileno()}", None, cv2.IMREAD_COLOR)
    return None if image is None or not image.size else np.asarray(image, np.uint8)
