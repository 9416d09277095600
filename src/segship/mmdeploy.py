"""A drop-in for mmdeploy_runtime: ``from segship.mmdeploy import Segmentor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from segship.core.errors import InputError
from segship.runtime import Segmentor as _Segmentor

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["Segmentor"]

_CPU = "cpu"
_AXES = 3


class Segmentor:
    """An opened package or folder of MMDeploy's, with the arguments and results of ``mmdeploy_runtime.Segmentor``.

    Arrays are **BGR**, as ``cv2.imread`` returns them; those of `segship.Segmentor` are RGB. Masks are int32. What
    else differs from mmdeploy_runtime 1.3.1: ``device_name`` has a default, a list is taken like `batch` takes it,
    arrays that are not uint8 are refused rather than cut to bytes, and errors are Segship's, each with its reason.

    Args:
        model_path: A package, or a folder that MMDeploy made.
        device_name: ``cpu`` or ``cuda``; or another device of the engine, as ``segship doctor`` lists them.
        device_id: Which of several; 0 is the first.

    Raises:
        PackageError: The folder is damaged, incomplete or neither of the two.
        BackendError: Its engine cannot be opened here.

    Examples:
        >>> import cv2
        >>> from segship.mmdeploy import Segmentor
        >>> segmentor = Segmentor(model_path="package", device_name="cpu", device_id=0)
        >>> segmentor(cv2.imread("street.jpg")).dtype
        dtype('int32')
    """

    def __init__(self, model_path: str | os.PathLike[str], device_name: str = _CPU, device_id: int = 0) -> None:
        if not isinstance(device_name, str) or ":" in device_name:
            raise InputError(f"device_name is {device_name!r}: expected cpu or cuda, and the number as device_id")
        if not isinstance(device_id, int) or device_id < 0:
            raise InputError(f"device_id is {device_id!r}: expected 0 for the first device, 1 for the second, …")
        device = device_name if device_name == _CPU or not device_id else f"{device_name}:{device_id}"
        self._segmentor = _Segmentor(model_path, device=device, channel_order="bgr")

    def __repr__(self) -> str:
        return f"<segship.mmdeploy.{repr(self._segmentor).removeprefix('<')}"

    @overload
    def __call__(self, img: NDArray[np.uint8]) -> NDArray[np.int32]: ...

    @overload
    def __call__(self, img: list[NDArray[np.uint8]] | tuple[NDArray[np.uint8], ...]) -> list[NDArray[np.int32]]: ...

    def __call__(
        self, img: NDArray[np.uint8] | list[NDArray[np.uint8]] | tuple[NDArray[np.uint8], ...]
    ) -> NDArray[np.int32] | list[NDArray[np.int32]]:
        """Make the mask of an image, or of each of a list.

        Args:
            img: uint8 (H, W, 3), BGR; or (H, W, 1), grey.

        Returns:
            Labels, int32 (H, W).

        Raises:
            InputError: It is no such array.
        """
        if isinstance(img, (list, tuple)):
            return self.batch(img)
        return self._segmentor(_pixels(img)).astype(np.int32)

    def batch(self, imgs: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.int32]]:
        """Make the mask of each image, in order.

        Args:
            imgs: As for one image; their sizes may differ.

        Returns:
            Labels, int32 (H, W), of each.

        Raises:
            InputError: One of them is no such array.
        """
        return [mask.astype(np.int32) for mask in self._segmentor.batch(map(_pixels, imgs))]

    def close(self) -> None:
        """Free the engine's memory; mmdeploy_runtime does so when the object goes."""
        self._segmentor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _pixels(image: Any) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), or (H, W) of grey.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != _AXES:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(
            f"an image is {found}: expected a uint8 array (height, width, 3) in BGR, as cv2.imread makes it"
        )
    return image[:, :, 0] if image.shape[2] == 1 else image
