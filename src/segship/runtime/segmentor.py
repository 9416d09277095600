"""Segmentor: an opened package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from segship.core.errors import InputError
from segship.datasets.class_names import Naming
from segship.runtime.packages import find_package
from segship.vision.bands import as_stored, read_pixels, visible
from segship.vision.draw import overlay
from segship.vision.preprocess import as_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from segship.core.manifest import Manifest
    from segship.core.spec import ModelSpec

__all__ = ["Segmentor"]

Image: TypeAlias = "str | Path | NDArray[np.uint8]"
ChannelOrder: TypeAlias = Literal["rgb", "bgr"]


class Segmentor:
    """Masks from images, without the framework that trained the network.

    Args:
        package: Folder written by ``segship export``; or a folder that MMDeploy made; or a lone engine file that
            Segship wrote: ``.onnx``, ``.xml`` (OpenVINO), ``.pt`` (TorchScript), ``.pt2``, ``.mlpackage``.
        device: ``cpu``, ``cuda:0``, …; ``segship doctor`` lists what works.
        threads: Threads of the engine; None: its own choice.
        channel_order: Order of the channels of images given as arrays.
        max_pixels: Refuse image files with more pixels.
        trust: Open engines that carry code (torch's ``.pt2``), which then runs. Only for those of people you trust.
        classes: Names of the classes, for files that do not hold any: folders of MMDeploy's.
        layout: Data set whose classes and colours they are instead: ``cityscapes``.

    Raises:
        PackageError: The package is damaged, incomplete or newer than this version.
        UnsafeFileError: Its engine carries code, and it is not trusted.
        BackendError: Its engine cannot be opened here.

    Examples:
        >>> from segship import Segmentor
        >>> segmentor = Segmentor("package")
        >>> mask = segmentor("street.jpg")
        >>> mask.shape, segmentor.classes
        ((77, 131), ('road', 'wall', 'tree', 'sky'))
    """

    def __init__(
        self,
        package: str | Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        channel_order: ChannelOrder = "rgb",
        max_pixels: int = 100_000_000,
        trust: bool = False,
        classes: Sequence[str] = (),
        layout: str | None = None,
    ) -> None:
        if channel_order not in {"rgb", "bgr"}:
            raise InputError(f"channel_order is 'rgb' or 'bgr', not {channel_order!r}")
        found = find_package(Path(package), Naming(tuple(classes), layout))
        self._manifest = found.manifest
        self._pipeline = found.pipeline(device=device, threads=threads, trust=trust)
        self._channel_order = channel_order
        self._max_pixels = max_pixels

    @property
    def manifest(self) -> Manifest:
        """What the package is."""
        return self._manifest

    @property
    def spec(self) -> ModelSpec:
        """What the network expects and what its labels mean."""
        return self._manifest.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each label."""
        return self.spec.classes

    def __call__(self, image: Image, *, channel_order: ChannelOrder | None = None) -> NDArray[np.uint8 | np.uint16]:
        """The mask of an image.

        Args:
            image: Path of a file, or uint8 (H, W, 3), or grey (H, W).
            channel_order: Of an array; None: as the Segmentor was opened with.

        Returns:
            Labels (H, W) at the image's own size: uint8, or uint16 where there are more than 256 classes.

        Raises:
            InputError: The image cannot be used.
        """
        return self._pipeline.labels(*self._pixels(image, channel_order))

    def scores(self, image: Image, *, channel_order: ChannelOrder | None = None) -> NDArray[np.float32]:
        """The probability of each class at each pixel.

        Args:
            image: As for the mask.
            channel_order: As for the mask.

        Returns:
            float32 (C, H, W) in 0-1: softmax over C; for a binary network with one output, (1, H, W).
        """
        return self._pipeline.scores(*self._pixels(image, channel_order))

    def batch(self, images: Iterable[Image]) -> list[NDArray[np.uint8 | np.uint16]]:
        """The mask of each image, in order. On a processor one image at a time is the fastest way.

        Args:
            images: Each as for the mask.

        Returns:
            Labels (H, W) of each, at its own size.
        """
        return [self(image) for image in images]

    def draw(self, image: Image, mask: NDArray[Any], opacity: float = 0.5) -> NDArray[np.uint8]:
        """The mask's colours over the image.

        Args:
            image: As for the mask.
            mask: Labels (H, W).
            opacity: 0: the image alone; 1: the colours alone.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        return overlay(self._rgb(image), mask, self.spec.palette, opacity)

    def _rgb(self, image: Image) -> NDArray[np.uint8]:
        pixels, order = self._pixels(image, None)
        if self.spec.pixels == "stored":
            return visible(pixels)
        return np.ascontiguousarray(pixels[:, :, ::-1]) if order == "bgr" else pixels

    def _pixels(self, image: Image, channel_order: ChannelOrder | None) -> tuple[NDArray[np.uint8], ChannelOrder]:
        if isinstance(image, (str, Path)):
            return read_pixels(Path(image), self.spec, max_pixels=self._max_pixels), "bgr"
        if self.spec.pixels == "stored":
            stored: Any = as_stored(image, self.spec.channels)
            return stored, "rgb"
        return as_image(image), channel_order or self._channel_order
