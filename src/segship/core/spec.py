"""ModelSpec: what a network expects and what its outputs mean, as data that travels with the package.

The steps of preprocessing run in this order, as in MMSegmentation's test pipeline and SegDataPreProcessor:

1. ``geometry``: each step on the uint8 image, in order;
2. channel order, then ``(x - mean) / std`` in float32;
3. ``padding`` on the normalised image, at the bottom and right, cut off again from the logits.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Frozen",
    "GeometryStep",
    "Interpolation",
    "Letterbox",
    "ModelSpec",
    "Normalization",
    "Pad",
    "Padding",
    "Resize",
    "ResizeByEdge",
    "ResizeEdges",
    "ResizeNear",
    "ResizeShortestEdge",
    "ResizeToMultiple",
    "SizeRule",
    "Slide",
]

Positive = Annotated[int, Field(gt=0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Interpolation = Literal["bilinear", "float_bilinear", "pillow_bilinear", "pillow_bicubic"]
"""How pixels are resized: OpenCV's bilinear, rounded to whole numbers; the same unrounded, as torch does; Pillow's
filters, which widen where they shrink (antialiasing)."""


class Frozen(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Resize(Frozen):
    """Resize of the uint8 image (``Resize`` of mmcv).

    Attributes:
        width, height: Target size in pixels. With ``keep_ratio`` the image is scaled so that its long edge is at most
            ``max(width, height)`` and its short edge at most ``min(width, height)``, whichever is reached first.
        keep_ratio: Keep the aspect ratio.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize"] = "resize"
    width: Positive
    height: Positive
    keep_ratio: bool = False
    interpolation: Interpolation = "bilinear"


class ResizeShortestEdge(Frozen):
    """Scale the short edge to ``size``, less where the long edge would pass ``max_size`` (mmseg's transform)."""

    kind: Literal["resize_shortest_edge"] = "resize_shortest_edge"
    size: Positive
    max_size: Positive


class ResizeToMultiple(Frozen):
    """Bilinear resize of each side up to the next multiple of ``multiple_of`` (mmseg's transform)."""

    kind: Literal["resize_to_multiple"] = "resize_to_multiple"
    multiple_of: Positive


class ResizeEdges(Frozen):
    """Scale the short edge to a length; the long edge follows, rounded down (Hugging Face processors, Segmenter).

    Attributes:
        short: Length of the short edge.
        long: Greatest length of the long edge, or None; an image that would pass it is scaled to it instead.
        multiple_of: Raise each side to the next multiple.
        enlarge_only: Leave images alone whose short edge is as long already.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_edges"] = "resize_edges"
    short: Positive
    long: Positive | None = None
    multiple_of: Positive = 1
    enlarge_only: bool = False
    interpolation: Interpolation = "bilinear"


class ResizeByEdge(Frozen):
    """Scale the short or the long edge to a length, both sides rounded to the nearest, halves to even (PaddleSeg).

    Attributes:
        short: Length of the short edge, or None.
        long: Length of the long edge, or None; where both are given, the smaller scale counts.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_by_edge"] = "resize_by_edge"
    short: Positive | None = None
    long: Positive | None = None
    interpolation: Interpolation = "bilinear"

    @model_validator(mode="after")
    def _one_at_least(self) -> ResizeByEdge:
        if self.short is None and self.long is None:
            raise ValueError("ResizeByEdge takes short, long, or both")
        return self


class ResizeNear(Frozen):
    """Scale as little as possible so that one side has its target length (DPT's processor).

    Attributes:
        width, height: Target lengths.
        multiple_of: Each side becomes the nearest multiple.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_near"] = "resize_near"
    width: Positive
    height: Positive
    multiple_of: Positive = 1
    interpolation: Interpolation = "bilinear"


class Letterbox(Frozen):
    """Fit the image into a frame, its aspect ratio kept, and put it in the middle (Ultralytics).

    The margin is cut off from the logits before they are resized back.

    Attributes:
        width, height: Of the frame.
        value: Value of the margin, for each channel in the order of the decoded image (BGR).
    """

    kind: Literal["letterbox"] = "letterbox"
    width: Positive
    height: Positive
    value: tuple[float, ...] = (0.0,)


class Pad(Frozen):
    """Pad the uint8 image at the bottom and right (``Pad`` of mmcv).

    Attributes:
        height, width: Size to pad to; an image that is larger is left alone.
        multiple_of: Pad up to the next multiple instead.
        value: Value of the new pixels, for each channel in the order of the decoded image (BGR).
        crop: Whether the padded margin is cut off from the logits before they are resized back.
    """

    kind: Literal["pad"] = "pad"
    height: Positive | None = None
    width: Positive | None = None
    multiple_of: Positive | None = None
    value: tuple[float, ...] = (0.0,)
    crop: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Pad:
        if (self.multiple_of is None) == (self.height is None or self.width is None):
            raise ValueError("Pad takes either height and width, or multiple_of")
        return self


GeometryStep = Annotated[
    Resize | ResizeShortestEdge | ResizeToMultiple | ResizeByEdge | ResizeEdges | ResizeNear | Letterbox | Pad,
    Field(discriminator="kind"),
]


class Normalization(Frozen):
    """``(x - mean) / std`` for each channel, in the order that ``channel_order`` names; x in 0-255.

    Attributes:
        channel_order: The order in which the network takes its channels.
        mean, std: One number for each channel, in that order.
    """

    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _as_many(self) -> Normalization:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers, std has {len(self.std)}")
        if not all(self.std):
            raise ValueError("std must not be zero")
        return self


class Padding(Frozen):
    """Padding of the normalised image at the bottom and right, cut off again from the logits.

    Attributes:
        height, width: Pad to this size where the image is smaller.
        multiple_of: Pad each side up to a multiple of this.
        value: Value of the new pixels, after normalisation.
    """

    height: Positive | None = None
    width: Positive | None = None
    multiple_of: Positive | None = None
    value: float = 0.0


class Slide(Frozen):
    """Sliding-window inference: the logits of overlapping windows are averaged (mmseg ``slide_inference``).

    Attributes:
        crop: Window (height, width) in pixels of the network's input.
        stride: Step (vertical, horizontal) between windows.
    """

    crop: tuple[Positive, Positive]
    stride: tuple[Positive, Positive]


class SizeRule(Frozen):
    """Which input sizes a network takes.

    Attributes:
        fixed: The only (height, width), or None.
        multiple_of: Height and width must be multiples of this.
        minimum: Least (height, width).
        batch: The only number of images at once, or None.
    """

    fixed: tuple[Positive, Positive] | None = None
    multiple_of: Positive = 1
    minimum: tuple[Positive, Positive] = (1, 1)
    batch: Positive | None = None

    def allows(self, height: int, width: int) -> bool:
        """Whether an input of ``height`` x ``width`` pixels can be taken."""
        if self.fixed is not None:
            return (height, width) == self.fixed
        divisible = height % self.multiple_of == 0 and width % self.multiple_of == 0
        return divisible and height >= self.minimum[0] and width >= self.minimum[1]

    def nearest(self, height: int, width: int) -> tuple[int, int]:
        """A size near ``height`` x ``width`` that can be taken: rounded down to a multiple, at least the minimum."""
        if self.fixed is not None:
            return self.fixed
        step = self.multiple_of
        rows, columns = (
            max(side // step * step, -(-least // step) * step)
            for side, least in zip((height, width), self.minimum, strict=True)
        )
        return rows, columns

    def __str__(self) -> str:
        if self.fixed is not None:
            return f"exactly {self.fixed[0]}x{self.fixed[1]}"
        words = []
        if self.minimum != (1, 1):
            words.append(f"at least {self.minimum[0]}x{self.minimum[1]}")
        if self.multiple_of > 1:
            words.append(f"height and width multiples of {self.multiple_of}")
        return ", ".join(words) or "any size"


class ModelSpec(Frozen):
    """What a network expects and what its outputs mean.

    Attributes:
        source: Framework the network comes from: ``"mmseg"``.
        architecture: For people: ``"EncoderDecoder(ResNetV1c, PSPHead)"``.
        classes: Name of each class, in the order of the labels.
        palette: Colour of each class, RGB.
        geometry: Steps on the uint8 image before normalisation.
        normalization: Channel order, mean and standard deviation.
        pixels: ``"uint8"``: photographs, as bytes of red, green and blue (grey is repeated, 16 bits become 8);
            ``"stored"``: all bands with the numbers and in the order the file stores them. Other numbers of channels
            than one and three are always stored.
        padding: Padding after normalisation, or None.
        slide: Window and stride, or None to see the whole image at once.
        align_corners: How logits are resized.
        resize_logits: ``"through_input"``: to the network's input size, then to the image's, as MMSegmentation does;
            ``"directly"``: to the image's at once, as Hugging Face does. What pads or slides goes through the input.
        output: ``"softmax"`` (label = argmax) or ``"sigmoid"`` (one channel; label = probability > threshold).
        threshold: Probability above which a ``sigmoid`` output means label 1.
        reduce_zero_label: Whether label 0 of the data set's files means "ignore" and all others move down by one.
    """

    source: str
    architecture: str
    classes: tuple[str, ...]
    palette: tuple[tuple[Byte, Byte, Byte], ...]
    geometry: tuple[GeometryStep, ...] = ()
    normalization: Normalization = Normalization()
    pixels: Literal["uint8", "stored"] = "uint8"
    padding: Padding | None = None
    slide: Slide | None = None
    align_corners: bool = False
    resize_logits: Literal["through_input", "directly"] = "through_input"
    output: Literal["softmax", "sigmoid"] = "softmax"
    threshold: float = 0.5
    reduce_zero_label: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if len(self.classes) != len(self.palette):
            raise ValueError(f"{len(self.classes)} classes but {len(self.palette)} colours")
        if self.pixels == "uint8" and self.channels not in {1, 3}:
            raise ValueError(f"a network of {self.channels} channels takes pixels as they are stored: pixels='stored'")
        if self.output == "sigmoid" and len(self.classes) != 2:  # noqa: PLR2004
            raise ValueError(f"a sigmoid output means two classes, not {len(self.classes)}")
        return self

    @property
    def channels(self) -> int:
        """Number of image channels the network takes."""
        return len(self.normalization.mean)
