"""Pictures of masks: the colours of the labels over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.vision.bands import to_preview_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.runtime.segmentor import ChannelOrder, Image
    from segship.vision.draw import PaletteKind

__all__ = ["PicturesOfMasks"]


class PicturesOfMasks:
    """The part of a Segmentor that draws; see `segship.Segmentor`."""

    @property
    def spec(self) -> ModelSpec:
        """The input that the network expects, and the meaning of the labels."""
        raise NotImplementedError

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        raise NotImplementedError

    def _pixels(self, image: Image, channel_order: ChannelOrder | None) -> tuple[NDArray[Any], ChannelOrder]:
        """The image as the pipeline takes it, and the order of its channels."""
        raise NotImplementedError

    def draw(
        self,
        image: Image,
        mask: NDArray[Any],
        opacity: float = 0.5,
        *,
        legend: bool = False,
        contours: bool = False,
        palette: PaletteKind = "package",
    ) -> NDArray[np.uint8]:
        """Draw the mask's colours over the image.

        Args:
            image: As for the mask.
            mask: Labels (H, W).
            opacity: 0: the image alone; 1: the colours alone.
            legend: Name the classes that occur, beneath the image.
            contours: Draw a white line along the borders of classes.
            palette: ``"package"``: the package's colours; ``"colour-blind"``: some that nearly everybody tells apart.

        Returns:
            uint8 (H, W, 3), RGB; higher with a legend.

        Raises:
            InputError: The sizes differ, ``opacity`` is not within 0-1, or there is no such palette.
        """
        from segship.vision.draw import Style, picture

        style = Style(opacity, legend, contours, palette)
        return picture(self._rgb(image), mask, self.classes, self.spec.palette, style)

    def _rgb(self, image: Image) -> NDArray[np.uint8]:
        pixels, order = self._pixels(image, None)
        if self.spec.pixels == "multispectral":
            return to_preview_rgb(pixels)
        return np.ascontiguousarray(pixels[:, :, ::-1]) if order == "bgr" else pixels
