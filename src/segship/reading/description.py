"""What a network expects and means, told by the user: for sources whose own files do not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat, PositiveInt, ValidationError

from segship.core.errors import ConfigError, validation_line
from segship.core.plan import EmbeddedSpec
from segship.core.spec import (
    Frozen,
    GeometryStep,
    ModelSpec,
    Normalization,
    Padding,
    PixelKind,
    Returned,
    SizeRule,
    Slide,
    Threshold,
)
from segship.datasets import find_layout
from segship.datasets.class_names import named_classes
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.datasets.class_names import Classes

__all__ = ["DescribedNormalization", "Description", "read_description", "read_noted"]

_BINARY = 2
_PHOTOGRAPHS = (1, 3)  # channels of what cameras and scanners make


class DescribedNormalization(Frozen):
    """``(x / max_pixel_value - mean) / std`` for each channel.

    Attributes:
        channel_order: The order in which the network takes its channels.
        mean, std: One number for each channel, in that order; None: nothing is subtracted, divided by one.
        max_pixel_value: 1: mean and std are given for pixels of 0-255; 255: for pixels of 0-1.
    """

    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    max_pixel_value: PositiveFloat = 1.0

    def normalization(self, channels: int) -> Normalization:
        """Return the normalisation of pixels of 0-255, for ``channels`` channels where no mean tells their number."""
        known = len(self.mean or self.std or (0.0,) * channels)
        mean, std = self.mean or (0.0,) * known, self.std or (1.0,) * known
        scale = self.max_pixel_value
        return Normalization(
            channel_order=self.channel_order,
            mean=tuple(value * scale for value in mean),
            std=tuple(value * scale for value in std),
        )


class Description(Frozen):
    """The names that a description may give; all may be left out. See `ModelSpec` for those that are not told here.

    Attributes:
        classes: Names of the classes, or their number.
        palette: A colour for each class.
        layout: Data set whose classes and colours they are: ``cityscapes``.
        sizes: Which input sizes the network takes.
    """

    architecture: str | None = None
    classes: tuple[str, ...] | PositiveInt | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    layout: str | None = None
    geometry: tuple[GeometryStep, ...] = ()
    normalization: DescribedNormalization = DescribedNormalization()
    pixels: PixelKind | None = None
    padding: Padding | None = None
    slide: Slide | None = None
    align_corners: bool = False
    resize_logits: Literal["through_input", "directly"] = "through_input"
    output: Literal["softmax", "sigmoid"] | None = None
    returns: Returned | None = None
    threshold: Threshold = 0.5
    reduce_zero_label: bool | None = None
    sizes: SizeRule = SizeRule()

    @property
    def count(self) -> int | None:
        """Number of classes that are described, or None."""
        if self.classes is not None:
            return self.classes if isinstance(self.classes, int) else len(self.classes)
        return len(find_layout(self.layout).classes) if self.layout else None

    def spec(
        self, *, source: str, architecture: str, outputs: int, channels: int = 3
    ) -> tuple[ModelSpec, tuple[str, ...]]:
        """Return the ModelSpec of a network, and notes for the user.

        Args:
            source: Name of the source.
            architecture: What the network is, where the description does not say.
            outputs: Channels of its scores.
            channels: Channels of its input, where no mean tells their number.

        Raises:
            ConfigError: The description is of another network.
        """
        output = self.output or ("sigmoid" if outputs == 1 else "softmax")
        count = _BINARY if output == "sigmoid" else outputs
        classes, palette, notes = self._classes(count)
        layout = find_layout(self.layout) if self.layout else None
        normalization = self.normalization.normalization(channels)
        if len(normalization.mean) != channels:
            raise ConfigError(
                f"the network takes {channels} channels, but mean and std are given for {len(normalization.mean)}"
            )
        reduces = layout is not None and layout.reduce_zero_label
        spec = ModelSpec(
            source=source,
            architecture=self.architecture or architecture,
            classes=classes,
            palette=palette,
            geometry=self.geometry,
            normalization=normalization,
            pixels=self.pixels or ("uint8" if channels in _PHOTOGRAPHS else "multispectral"),
            padding=self.padding,
            slide=self.slide,
            align_corners=self.align_corners,
            resize_logits=self.resize_logits,
            output=output,
            returns=self.returns or "logits",
            threshold=self.threshold,
            reduce_zero_label=reduces if self.reduce_zero_label is None else self.reduce_zero_label,
        )
        return spec, notes

    def _classes(self, count: int) -> Classes:
        """Names and colours of ``count`` classes, and notes."""
        layout = find_layout(self.layout) if self.layout and self.classes is None else None
        names = self.classes if isinstance(self.classes, tuple) else ()
        number = count if self.classes is None else 0 if isinstance(self.classes, tuple) else self.classes
        found = named_classes(number, names, layout=layout, palette=self.palette)
        if len(found.names) != count:
            raise ConfigError(
                f"the network has {count} classes, but {len(found.names)} are described: {', '.join(found.names)}"
            )
        if len(found.palette) != count:
            raise ConfigError(f"the palette has {len(found.palette)} colours for {count} classes")
        return found


def read_description(
    given: Path | Mapping[str, Any] | ModelSpec | None, options: Mapping[str, Any] | Sequence[str] | None = None
) -> Description:
    """Return a description from a YAML or JSON file, its content, or a ModelSpec.

    Args:
        given: Where it is; None: an empty one.
        options: Laid over it: ``["normalization.mean=[1,2,3]", "layout=cityscapes"]``.

    Raises:
        ConfigError: It cannot be read, or says something that is not known; all mistakes are told at once.
    """
    where = str(given) if isinstance(given, Path) else "the description"
    if isinstance(given, ModelSpec):
        values = given.model_dump(exclude={"source"})
    elif isinstance(given, Path):
        values = read_mapping(given)
    else:
        values = dict(given or {})
    if options:
        values = merge_options(values, options)
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        told = validation_line(error, known=Description.model_fields)
        raise ConfigError(f"{where} cannot be used: {told}") from None


def read_noted(text: str, path: Path) -> dict[str, Any]:
    """Return the description that Segship notes in the files it writes, for `read_description`.

    Args:
        text: What stands under the key ``segship``.
        path: The file, for error messages.

    Raises:
        PackageError: It is not what this version writes.
    """
    described = EmbeddedSpec.read(text, path)
    values = described.spec.model_dump(exclude={"source"})
    return values | {"sizes": described.sizes.model_dump()}
