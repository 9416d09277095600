"""How images are normalised, as users tell it: by mean and std, or by one of the three usual ways."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from segship.core.errors import ConfigError, validation_line
from segship.core.mistakes import ValidationError
from segship.core.spec import Arithmetic, Frozen, Normalization
from segship.core.validation import Bound

__all__ = ["PRESETS", "DescribedNormalization", "Preset"]

Preset: TypeAlias = Literal["imagenet", "unit", "none"]
"""The three usual ways to normalise an image."""

PRESETS: dict[Preset, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": ((0.0,), (255.0,)),
    "none": ((0.0,), (1.0,)),
}
"""Mean and std of each, of pixels of 0-255: one number for every channel, or for red, green and blue."""

_NUMBERS = ("mean", "std", "max_pixel_value")
_RGB = 3


class DescribedNormalization(Frozen):
    """``(x / max_pixel_value - mean) / std`` for each channel.

    Attributes:
        preset: One of the three usual ways, in place of mean and std: ``"imagenet"``, the mean and deviation of
            ImageNet's photographs; ``"unit"``, pixels of 0-1; ``"none"``, pixels of 0-255 as they are.
        channel_order: The order in which the network takes its channels.
        mean, std: One number for each channel, in that order; None: nothing is subtracted, divided by one.
        max_pixel_value: 1: mean and std are given for pixels of 0-255; 255: for pixels of 0-1.
        arithmetic: Numbers that are calculated with; ``"float64"`` is rounded to float32 once.
    """

    preset: Preset | None = None
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Annotated[float, Bound(finite=True)], ...] | None = None
    std: tuple[Annotated[float, Bound(finite=True)], ...] | None = None
    max_pixel_value: Annotated[float, Bound(gt=0, finite=True)] = 1.0
    arithmetic: Arithmetic = "float32"

    def _require_consistent(self) -> None:
        if self.preset is not None and self.says_numbers:
            raise ValueError(f"the preset {self.preset} says mean and std itself: leave them out")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers, std has {len(self.std)}")
        if self.std is not None and not all(self.std):
            raise ValueError("std must not be zero")

    @property
    def says_numbers(self) -> bool:
        """True where mean, std or the greatest value of a pixel are given."""
        return bool(self.model_fields_set.intersection(_NUMBERS))

    @property
    def channels(self) -> int | None:
        """How many channels the image has, where the numbers tell."""
        numbers = self.mean or self.std
        return len(numbers) if numbers else _RGB if self.preset == "imagenet" else None

    @property
    def seems_of_unit(self) -> bool:
        """True where mean and std are as small as those of pixels of 0-1, and nothing says that they are."""
        if self.mean is None or self.std is None or "max_pixel_value" in self.model_fields_set:
            return False
        return all(0 < value < 1 for value in self.mean) and all(0 < value < 1 for value in self.std)

    def normalization(self, channels: int) -> Normalization:
        """Return the normalisation of pixels of 0-255, for ``channels`` channels where no mean tells their number."""
        if self.preset is not None:
            return _preset(self.preset, channels, self.channel_order, self.arithmetic)
        known = self.channels or channels
        mean, std = self.mean or (0.0,) * known, self.std or (1.0,) * known
        scale = self.max_pixel_value
        try:
            return Normalization(
                channel_order=self.channel_order,
                mean=tuple(value * scale for value in mean),
                std=tuple(value * scale for value in std),
                arithmetic=self.arithmetic,
            )
        except ValidationError as error:
            told = validation_line(error)
            raise ConfigError(f"mean and std cannot be used with max_pixel_value {scale:g}: {told}") from None


def _preset(name: Preset, channels: int, order: Literal["rgb", "bgr"], arithmetic: Arithmetic) -> Normalization:
    mean, std = PRESETS[name]
    if len(mean) == 1:
        mean, std = mean * channels, std * channels
    step = -1 if order == "bgr" else 1
    return Normalization(channel_order=order, mean=mean[::step], std=std[::step], arithmetic=arithmetic)
