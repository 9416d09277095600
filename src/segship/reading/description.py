"""What a network expects and means, told by the user: for sources whose own files do not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import PositiveFloat, PositiveInt, PrivateAttr, ValidationError

from segship.core.errors import ConfigError, validation_line
from segship.core.plan import EmbeddedSpec
from segship.core.provenance import Provenance, assumed, default, read
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

    from segship.core.provenance import Reading
    from segship.datasets.class_names import Classes

__all__ = ["Described", "DescribedNormalization", "Description", "read_description", "read_noted"]

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


class Described(NamedTuple):
    """A network as its description and itself tell it.

    Attributes:
        spec: What it expects and means.
        notes: Notes for the user.
        provenance: From where each value was read, and what was assumed.
    """

    spec: ModelSpec
    notes: tuple[str, ...]
    provenance: Provenance


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
    _place: str = PrivateAttr("the description")
    _changed: frozenset[str] = PrivateAttr(frozenset())

    def placed(self, place: str, changed: frozenset[str] = frozenset()) -> Description:
        """Note where it stands, and return it.

        Args:
            place: Name of the file; or what else it is of, where no file says anything.
            changed: Names that were laid over it by options.
        """
        self._place, self._changed = place, changed
        return self

    @property
    def count(self) -> int | None:
        """Number of classes that are described, or None."""
        if self.classes is not None:
            return self.classes if isinstance(self.classes, int) else len(self.classes)
        return len(find_layout(self.layout).classes) if self.layout else None

    def spec(self, *, source: str, architecture: str, outputs: int, channels: int = 3) -> Described:
        """Return the ModelSpec of a network, notes for the user, and from where all that is.

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
        return Described(spec, notes, self._provenance(outputs))

    def _provenance(self, outputs: int) -> Provenance:
        named = self._place_of("classes", "layout")
        return Provenance(
            channel_order=self._reading("normalization.channel_order"),
            normalization=self._reading("normalization.mean", "normalization.std", "normalization.max_pixel_value"),
            size_rule=self._reading("geometry"),
            padding=self._reading("padding", otherwise=default("nothing says that the input is padded")),
            inference=self._reading("slide", otherwise=default("nothing says that the network sees windows")),
            output=self._reading("output", otherwise=read(f"the network has {outputs} channels of scores")),
            threshold=self._reading("threshold", otherwise=self._threshold(outputs)),
            classes=named or assumed(f"nothing in {self._place} names them"),
            palette=self._reading("palette", "layout", otherwise=default("made for as many classes")),
        )

    def _threshold(self, outputs: int) -> Reading:
        if (self.output or ("sigmoid" if outputs == 1 else "softmax")) == "sigmoid":
            return assumed(f"nothing in {self._place} says it")
        return default("the label is the class of the greatest score")

    def _reading(self, *names: str, otherwise: Reading | None = None) -> Reading:
        """The place of the first of ``names`` that is told; else ``otherwise``, or that it was assumed."""
        return self._place_of(*names) or otherwise or assumed(f"nothing in {self._place} says it")

    def _place_of(self, *names: str) -> Reading | None:
        told = _names(self.model_dump(exclude_unset=True))
        for name in names:
            if name in told:
                return read(f"an option: {name}" if name in self._changed else f"{self._place}: {name}")
        return None

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
    given: Path | Mapping[str, Any] | ModelSpec | None,
    options: Mapping[str, Any] | Sequence[str] | None = None,
    *,
    place: str = "the description",
) -> Description:
    """Return a description from a YAML or JSON file, its content, or a ModelSpec.

    Args:
        given: Where it is; None: an empty one.
        options: Laid over it: ``["normalization.mean=[1,2,3]", "layout=cityscapes"]``.
        place: What ``given`` is, where it is no file: what the user is told of where a value comes from.

    Raises:
        ConfigError: It cannot be read, or says something that is not known; all mistakes are told at once.
    """
    where, place = (str(given), given.name) if isinstance(given, Path) else (place, place)
    if isinstance(given, ModelSpec):
        values = given.model_dump(exclude={"source"})
    elif isinstance(given, Path):
        values = read_mapping(given)
    else:
        values = dict(given or {})
    if options:
        values = merge_options(values, options)
    try:
        return Description.model_validate(values).placed(place, _names(merge_options({}, options or {})))
    except ValidationError as error:
        told = validation_line(error, known=Description.model_fields)
        raise ConfigError(f"{where} cannot be used: {told}") from None


def _names(told: Mapping[str, Any]) -> frozenset[str]:
    """The names of what is told, those within ``normalization`` among them."""
    inner = told.get("normalization")
    inner = inner if isinstance(inner, dict) else {}
    return frozenset(told) | {f"normalization.{name}" for name in inner}


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
