"""What a network expects and means, told by the user: for sources whose own files do not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from segship.core.errors import ConfigError, validation_line
from segship.core.mistakes import ValidationError
from segship.core.plan import EmbeddedSpec
from segship.core.provenance import Provenance, assumed, default, read
from segship.core.spec import (
    Byte,
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
from segship.core.validation import Bound
from segship.datasets import find_layout
from segship.datasets.class_names import named_classes
from segship.reading.documents import read_mapping
from segship.reading.normalization import PRESETS, DescribedNormalization
from segship.reading.options import merge_options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from segship.core.provenance import Reading
    from segship.datasets.class_names import Classes
    from segship.reading.normalization import Preset

__all__ = [
    "Described",
    "Description",
    "read_description",
    "read_embedded",
]

_RGB = 3
_ORDER = "normalization.channel_order"
_MOST_PIXELS = 2**26
_BINARY = 2
_PHOTOGRAPHS = (1, 3)  # channels of what cameras and scanners make


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
    classes: tuple[str, ...] | Annotated[int, Bound(gt=0)] | None = None
    palette: tuple[tuple[Byte, Byte, Byte], ...] | None = None
    layout: str | None = None
    geometry: tuple[GeometryStep, ...] = ()
    normalization: DescribedNormalization | None = None
    pixels: PixelKind | None = None
    padding: Padding | None = None
    slide: Slide | None = None
    align_corners: bool = False
    resize_logits: Literal["through_input", "directly", "to_input"] = "through_input"
    output: Literal["softmax", "sigmoid"] | None = None
    returns: Returned | None = None
    threshold: Threshold = 0.5
    reduce_zero_label: bool | None = None
    sizes: SizeRule = SizeRule()
    _place = "the description"
    _changed: ClassVar[frozenset[str]] = frozenset()
    _inside = ""

    def placed(self, place: str, changed: frozenset[str] = frozenset(), *, inside: str = "") -> Description:
        """Return the same, with a note where it stands.

        Args:
            place: Name of the file; or what else it is of, where no file says anything.
            changed: Names that were laid over it by options.
            inside: Where the network normalises its image itself; empty: it does not.
        """
        same = self.model_copy()
        vars(same).update(_place=place, _changed=changed, _inside=inside)
        return same

    def normalized_inside(self, preset: Preset, place: str) -> Description:
        """Return the same for a network that normalises its image itself.

        Args:
            preset: What it is to be given for that.
            place: Where it does so: ``the first operators of x.onnx``.
        """
        same = self.model_copy(update={"normalization": DescribedNormalization(preset=preset)})
        return same.placed(self._place, self._changed, inside=place)

    def _require_consistent(self) -> None:
        height, width = self.sizes.nearest(1, 1)
        if height * width > _MOST_PIXELS:
            raise ValueError(f"sizes makes an input of {height}x{width}, which is more than any network takes")

    @property
    def count(self) -> int | None:
        """Number of classes that are described, or None."""
        if self.classes is not None:
            return self.classes if isinstance(self.classes, int) else len(self.classes)
        return len(find_layout(self.layout).classes) if self.layout else None

    def spec(
        self,
        *,
        source: str,
        architecture: str,
        outputs: int,
        channels: int = 3,
        returns: Returned = "logits",
        guessed: str = "",
    ) -> Described:
        """Return the ModelSpec of a network, notes for the user, and from where all that is.

        Args:
            source: Name of the source.
            architecture: What the network is, where the description does not say.
            outputs: Channels of its scores.
            channels: Channels of its input, where no mean tells their number.
            returns: Which numbers they are, where the description does not say.
            guessed: What ``returns`` was concluded from, where nothing in the network itself says it.

        Raises:
            ConfigError: The description is of another network.
        """
        output = self.output or ("sigmoid" if outputs == 1 else "softmax")
        count = _BINARY if output == "sigmoid" else outputs
        if output == "softmax" and self._place_of("threshold"):
            raise ConfigError(
                f"{self._place} tells a threshold, which is for one channel of scores; this network has {outputs}, of "
                "which the greatest counts: remove it"
            )
        classes, palette, notes = self._classes(count)
        layout = find_layout(self.layout) if self.layout else None
        normalization = self.normalized("the network", channels)
        reduces = layout is not None and layout.reduce_zero_label
        try:
            spec = ModelSpec(
                source=source,
                architecture=self.architecture or architecture,
                classes=classes,
                palette=palette,
                geometry=self.geometry,
                normalization=normalization,
                pixels=self.seen(channels),
                padding=self.padding,
                slide=self.slide,
                align_corners=self.align_corners,
                resize_logits=self.resize_logits,
                output=output,
                returns=self.returns or returns,
                threshold=self.threshold,
                reduce_zero_label=reduces if self.reduce_zero_label is None else self.reduce_zero_label,
            )
        except ValidationError as error:
            raise ConfigError(f"{self._place} cannot be used: {validation_line(error)}") from None
        return Described(spec, (*notes, *self._doubts()), self._provenance(outputs, guessed))

    def _doubts(self) -> tuple[str, ...]:
        """Notes on what is used as it is told, though it is probably meant otherwise."""
        if self.normalization is None or not self.normalization.seems_of_unit:
            return ()
        note = (
            f"The mean and std that {self._place} tells are taken to be of pixels of 0-255, and are as small as those "
            "of pixels of 0-1: if they are, say normalization.max_pixel_value: 255. If not, say 1"
        )
        return (note,)

    def _provenance(self, outputs: int, guessed: str) -> Provenance:
        channels = read(f"the network has {outputs} channels of scores")
        named = self._place_of("classes", "layout")
        return Provenance(
            channel_order=self._reading(_ORDER),
            normalization=read(self._inside)
            if self._inside
            else self._reading(*(f"normalization.{name}" for name in ("preset", "mean", "std", "max_pixel_value"))),
            size_rule=self._reading("geometry"),
            padding=self._reading("padding", otherwise=default("nothing says that the input is padded")),
            inference=self._reading("slide", otherwise=default("nothing says that the network sees windows")),
            output=assumed(guessed) if guessed else self._reading("output", otherwise=channels),
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

    def seen(self, channels: int) -> PixelKind:
        """Return which numbers the network sees.

        Args:
            channels: Channels of its input.
        """
        return self.pixels or ("uint8" if channels in _PHOTOGRAPHS else "multispectral")

    def normalized(self, what: str, channels: int) -> Normalization:
        """Return the normalisation.

        Args:
            what: The network, to begin error messages with.
            channels: Channels of its input.

        Raises:
            ConfigError: Nothing says it, or it is for another number of channels.
        """
        # A channel order that an option lays over nothing says no numbers.
        told = self.normalization is not None and (
            self.normalization.preset or self.normalization.says_numbers or _ORDER not in self._changed
        )
        if self.normalization is None or not told:
            raise ConfigError(
                f"nothing says how the input of {what} is normalised: --normalize imagenet (mean and std of ImageNet), "
                "--normalize unit (pixels / 255), --normalize none (pixels of 0-255 as they are), or --spec FILE with "
                "a description; its channels are taken as RGB unless --cfg-options normalization.channel_order=bgr "
                "says otherwise. In Python: normalize='imagenet'"
            )
        found = self.normalization.normalization(channels)
        if len(found.mean) != channels:
            raise ConfigError(f"{what} takes {channels} channels, but mean and std are given for {len(found.mean)}")
        return found

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
    normalize: Preset | None = None,
    own: Collection[str] = (),
) -> Description:
    """Return a description from a YAML or JSON file, its content, or a ModelSpec.

    Args:
        given: Where it is; None: an empty one.
        options: Laid over it: ``["normalization.mean=[1,2,3]", "layout=cityscapes"]``.
        place: What ``given`` is, where it is no file: what the user is told of where a value comes from.
        normalize: How images are normalised, where it does not say; it may say the same.
        own: Names in ``given`` that the user said, not the file.

    Raises:
        ConfigError: It cannot be read, or says something that is not known; all mistakes are told at once.
    """
    where, place = (str(given), given.name) if isinstance(given, Path) else (place, place)
    if isinstance(given, ModelSpec):
        # What it returns is found out unless the user says it.
        values = _told(given, {"source", "returns"} - given.model_fields_set | {"source"})
    elif isinstance(given, Path):
        values = read_mapping(given)
    else:
        values = dict(given or {})
    try:
        values = _with_preset(values, normalize)
        changes = merge_options({}, options or {})
        if changes:
            values = merge_options(values, options or {})
        changed = _names(changes) | _names({name: values[name] for name in own})
        changed |= {"normalization.preset"} if normalize else set()
        return Description.model_validate(values).placed(place, changed)
    except ValidationError as error:
        told = validation_line(error, known=Description.model_fields)
        raise ConfigError(f"{where} cannot be used: {told}") from None


def _told(spec: ModelSpec, exclude: AbstractSet[str]) -> dict[str, Any]:
    """A spec as a description tells it.

    Raises:
        UnsupportedError: It has what no description tells.
    """
    spec.require_common("a description")
    values = spec.model_dump(exclude=exclude)
    values["normalization"] = {name: values["normalization"][name] for name in ("channel_order", "mean", "std")}
    if spec.output == "softmax":
        values.pop("threshold", None)  # it is of no use there
    return values


def _names(told: Mapping[str, Any]) -> frozenset[str]:
    """The names of what is told, those within ``normalization`` among them."""
    inner = told.get("normalization")
    inner = inner if isinstance(inner, dict) else {}
    return frozenset(told) | {f"normalization.{name}" for name in inner}


def _with_preset(values: dict[str, Any], normalize: Preset | None) -> dict[str, Any]:
    """The values with ``normalization: imagenet`` written out, and with ``normalize`` where they do not say.

    Raises:
        ConfigError: They say something else.
    """
    said = values.get("normalization")
    if isinstance(said, str):
        said = {"preset": said}
    if normalize is not None:
        if normalize not in PRESETS:
            raise ConfigError(f"{normalize!r} is no way to normalise: expected {', '.join(PRESETS)}")
        known = DescribedNormalization.model_validate(said or {})
        wanted = DescribedNormalization(preset=normalize, channel_order=known.channel_order)
        channels = known.channels or _RGB
        if not (known.preset or known.says_numbers):
            said = {**(said or {}), "preset": normalize}
        elif known.normalization(channels) != wanted.normalization(channels):
            raise ConfigError(
                f"normalize={normalize} contradicts the normalization that the description gives: leave one of them out"
            )
    return values | ({} if said is None else {"normalization": said})


def read_embedded(text: str, path: Path) -> dict[str, Any]:
    """Return the description that Segship notes in the files it writes, for `read_description`.

    Args:
        text: What stands under the key ``segship``.
        path: The file, for error messages.

    Raises:
        PackageError: It is not what this version writes.
    """
    described = EmbeddedSpec.read(text, path)
    values = _told(described.spec, {"source"})
    return values | {"sizes": described.sizes.model_dump()}
