"""ModelSpec: what a network expects and what its outputs mean, as data that travels with the package.

The steps of preprocessing run in this order, as in MMSegmentation's test pipeline and SegDataPreProcessor:

1. ``geometry``: each step on the uint8 image, in order;
2. channel order, then ``(x - mean) / std`` in float32;
3. ``padding`` on the normalised image, at the bottom and right, cut off again from the logits.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from segship.core.errors import UnsupportedError
from segship.core.frozen import Finite, Frozen, Multiple, Name, Positive, Side, Values, Words
from segship.core.geometry_steps import (
    GeometryStep,
    Interpolation,
    Letterbox,
    Pad,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
    ResizeWithin,
    padded_size,
    padding_words,
    require_moderate,
)
from segship.core.validation import Before, Bound

__all__ = [
    "MOST_CLASSES",
    "Arithmetic",
    "Byte",
    "Frozen",
    "GeometryStep",
    "Interpolation",
    "Letterbox",
    "ModelSpec",
    "Normalization",
    "Pad",
    "Padding",
    "PixelKind",
    "Resize",
    "ResizeByEdge",
    "ResizeEdges",
    "ResizeNear",
    "ResizeShortestEdge",
    "ResizeToMultiple",
    "ResizeWithin",
    "Returned",
    "SizeRule",
    "Slide",
    "Statistics",
    "Threshold",
]

Arithmetic: TypeAlias = Literal["float32", "float64"]
"""Numbers that pixels are normalised with."""
Threshold = Annotated[float, Bound(gt=0, lt=1)]
"""A probability that some logit passes and another does not."""
Byte = Annotated[int, Bound(ge=0, le=255)]
"""A number of 0-255."""
MOST_CLASSES = 2**16
"""Labels are whole numbers of at most 16 bits."""
_MOST_MEMBERS = 64  # nnU-Net trains five folds
_MOST_STEPS = 16  # real pipelines have at most three
_MOST_CHANNELS = 1024  # of `segship.core.frozen.Values`
_LEAST_STD = 1e-30  # below, a division overflows float32


def _current(value: object) -> object:
    """The name of today; version 0.1 wrote ``"stored"``."""
    return "multispectral" if value == "stored" else value


PixelKind = Annotated[Literal["uint8", "multispectral"], Before(_current)]
"""Which numbers a network sees; `ModelSpec.pixels` tells what they mean."""

Returned: TypeAlias = Literal["logits", "probabilities", "labels"]
"""The numbers that a network returns: ``"logits"``, which softmax or sigmoid turns into probabilities;
``"probabilities"``, as softmax or sigmoid is inside it; ``"labels"``: 1 for the label's class, 0 for all others."""


Statistics: TypeAlias = Literal[
    "none", "deviation", "range", "whole_deviation", "whole_range", "nonzero_deviation", "inside_deviation"
]
"""What a channel is scaled by before ``mean`` and ``std``: ``"none"``; ``"deviation"``: its own mean in this image is
taken off, and it is divided by its own standard deviation; ``"range"``: its own least and greatest value become 0 and
1; ``"whole_…"``: those of all channels together; ``"nonzero_deviation"``: of its values that are not zero, which alone
are changed (MONAI's ``nonzero``); ``"inside_deviation"``: of the pixels that are not zero in every channel, which alone
are changed (nnU-Net's ``use_mask_for_norm``)."""


class Normalization(Frozen):
    """``(x - mean) / std`` for each channel, in the order that ``channel_order`` names; x in 0-255.

    Attributes:
        channel_order: The order in which the network takes its channels.
        mean, std: One number for each channel, in that order.
        clip: Least and greatest value of each channel, to which others are brought first; None: none.
        statistics: What each channel is scaled by after that, of the image itself; empty: nothing.
        arithmetic: Numbers that are calculated with: ``"float32"``: each operation is rounded, as torch does it;
            ``"float64"``: only the result is rounded to float32, as ``get_preprocessing_fn`` of
            segmentation_models_pytorch does it. Graphs that take the image calculate in float32.
    """

    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: Values = (0.0, 0.0, 0.0)
    std: Values = (1.0, 1.0, 1.0)
    clip: Annotated[tuple[tuple[Finite, Finite], ...], Bound(most=_MOST_CHANNELS)] | None = None
    statistics: Annotated[tuple[Statistics, ...], Bound(most=_MOST_CHANNELS)] = ()
    arithmetic: Arithmetic = "float32"

    @property
    def is_fixed(self) -> bool:
        """Whether a mean and a deviation of each channel say all, for every image alike."""
        return self.clip is None and not self.statistics

    def _require_consistent(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers, std has {len(self.std)}")
        if min(map(abs, self.std)) < _LEAST_STD:
            raise ValueError("std must not be zero")
        for name, given in (("clip", self.clip), ("statistics", self.statistics)):
            if given and len(given) != len(self.mean):
                raise ValueError(f"{name} is of {len(given)} channels, mean of {len(self.mean)}")
        if any(low > high for low, high in self.clip or ()):
            raise ValueError("clip names the greatest value before the least")
        if self.arithmetic != "float32" and not self.is_fixed:
            raise ValueError("values are clipped and scaled by an image's own in float32")

    def _omitted(self) -> tuple[str, ...]:
        return ("arithmetic",) if self.arithmetic == "float32" else ()


class Padding(Frozen):
    """Padding of the normalised image at the bottom and right, cut off again from the logits.

    Attributes:
        height, width: Pad to this size where the image is smaller.
        multiple_of: Pad each side up to a multiple of this.
        value: Value of the new pixels, after normalisation.
        center: Whether half of the new pixels come at the top and left, the smaller half where they are odd.
    """

    height: Side | None = None
    width: Side | None = None
    multiple_of: Multiple | None = None
    value: Finite = 0.0
    center: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after padding an image of ``height`` x ``width`` pixels."""
        size = padded_size(height, width, to=(self.height, self.width), multiple_of=self.multiple_of)
        require_moderate(size, (height, width))
        return size

    def __str__(self) -> str:
        sides = ", on all sides" if self.center else ""
        return (
            f"{padding_words(self.height, self.width, self.multiple_of)} with {self.value:.6g}, once normalised{sides}"
        )

    def origin(self, height: int, width: int) -> tuple[int, int]:
        """Return (top, left) of an image of ``height`` x ``width`` pixels after padding."""
        if not self.center:
            return (0, 0)
        rows, columns = self.size(height, width)
        return ((rows - height) // 2, (columns - width) // 2)


class Slide(Frozen):
    """Sliding-window inference: the logits of overlapping windows are averaged (mmseg ``slide_inference``).

    Attributes:
        crop: Window (height, width) in pixels of the network's input.
        stride: Step (vertical, horizontal) between windows.
        spread: As few windows as cover the input at this step, at equal distances (Hugging Face's EoMT processor),
            instead of only the last one moved back inside.
        nearest: Whether the places of spread windows are rounded to the nearest pixel instead of down.
        blend: How much a window says at each of its pixels: ``"mean"``: everywhere the same; ``"gaussian"``: as far as
            a Gaussian around its centre says, at least a thousandth (MONAI); ``"gaussian_half"``: the same without a
            least, and the sums in half precision (nnU-Net); ``"mean_half"``: everywhere the same, and the sums in half
            precision (nnU-Net without its Gaussian).
        sigma: Standard deviation of the Gaussian, as a share of the window's side.
        members: How many networks' scores lie one behind another in the channels. The windows of each are put
            together by themselves, and the label is that of their mean (nnU-Net's folds).
        share: Step as a share of the window's sides, in double precision, where that is no whole number of pixels
            (nnU-Net's ``tile_step_size``); ``stride`` is then the step rounded up.
    """

    crop: tuple[Side, Side]
    stride: tuple[Side, Side]
    spread: bool = False
    nearest: bool = False
    blend: Literal["mean", "gaussian", "gaussian_half", "mean_half"] = "mean"
    sigma: Annotated[float, Bound(gt=0, le=64)] = 0.125
    members: Annotated[int, Bound(ge=1, le=_MOST_MEMBERS)] = 1
    share: Annotated[float, Bound(ge=2**-10, le=1)] | None = None

    def _require_consistent(self) -> None:
        if self.members > 1 and self.blend == "mean":
            raise ValueError("members are put together where windows are weighed or added up in half precision")

    def _omitted(self) -> tuple[str, ...]:
        return (*(() if self.members > 1 else ("members",)), *(("share",) if self.share is None else ()))

    def __str__(self) -> str:
        (height, width), (down, right) = self.crop, self.stride
        weighed = ", weighed by a Gaussian" if self.blend.startswith("gaussian") else ""
        weighed += ", added up in half precision" if self.blend.endswith("half") else ""
        if self.spread:
            return (
                f"windows of {height}x{width} (height x width), as few as cover the input, at equal distances{weighed}"
            )
        return f"windows of {height}x{width}, every {down}x{right} (height x width){weighed}"


class SizeRule(Frozen):
    """The input sizes that a network takes.

    Attributes:
        fixed: The only (height, width), or None.
        multiple_of: Height and width must be multiples of this.
        minimum: Least (height, width).
        batch: The only number of images at once, or None.
    """

    fixed: tuple[Side, Side] | None = None
    multiple_of: Multiple = 1
    minimum: tuple[Side, Side] = (1, 1)
    batch: Positive | None = None

    def allows(self, height: int, width: int) -> bool:
        """Tell whether an input can be taken.

        Args:
            height: Of the input, in pixels.
            width: Of the input, in pixels.

        Returns:
            True: it can.
        """
        if self.fixed is not None:
            return (height, width) == self.fixed
        divisible = height % self.multiple_of == 0 and width % self.multiple_of == 0
        return divisible and height >= self.minimum[0] and width >= self.minimum[1]

    def nearest(self, height: int, width: int) -> tuple[int, int]:
        """Find a size that can be taken: rounded down to a multiple, at least the minimum.

        Args:
            height: Of the input that is wished for, in pixels.
            width: Of the same.

        Returns:
            (height, width).
        """
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
    """The input that a network expects, and the meaning of its outputs.

    Attributes:
        source: Framework the network comes from: ``"mmseg"``.
        architecture: For people: ``"EncoderDecoder(ResNetV1c, PSPHead)"``.
        classes: Name of each class, in the order of the labels.
        palette: Colour of each class, RGB.
        geometry: Steps on the uint8 image before normalisation.
        normalization: Channel order, mean and standard deviation.
        pixels: ``"uint8"``: photographs, as bytes of red, green and blue (grey is repeated, 16 bits become 8);
            ``"multispectral"``: all bands with the numbers and in the order the file stores them. Other numbers of
            channels than one and three are always multispectral.
        padding: Padding after normalisation, or None.
        slide: Window and stride, or None to see the whole image at once.
        align_corners: How logits are resized.
        resize_logits: ``"through_input"``: to the network's input size, then to the image's, as MMSegmentation does;
            ``"directly"``: to the image's at once, as Hugging Face does. What pads or slides goes through the input.
            ``"to_input"``: to the input's size alone; what is decided there is brought back to the image by its
            nearest pixels, as PaddleX does.
        output: ``"softmax"`` (label = argmax) or ``"sigmoid"`` (one channel; label = probability > threshold).
        returns: Which numbers the network returns, as `Returned` tells; ``output`` says what decides either way.
        threshold: Probability above which a ``sigmoid`` output means label 1; above 0, below 1.
        reduce_zero_label: Whether label 0 of the data set's files means "ignore" and all others move down by one.
        trims_zeros: Whether borders that are zero in all channels are cut off before anything else; their pixels are
            of class 0.
    """

    source: Name
    architecture: Words
    classes: Annotated[tuple[Name, ...], Bound(least=1, most=MOST_CLASSES)]
    palette: Annotated[tuple[tuple[Byte, Byte, Byte], ...], Bound(least=1, most=MOST_CLASSES)]
    geometry: Annotated[tuple[GeometryStep, ...], Bound(most=_MOST_STEPS)] = ()
    normalization: Normalization = Normalization()
    pixels: PixelKind = "uint8"
    padding: Padding | None = None
    slide: Slide | None = None
    align_corners: bool = False
    resize_logits: Literal["through_input", "directly", "to_input"] = "through_input"
    output: Literal["softmax", "sigmoid"] = "softmax"
    returns: Returned = "logits"
    threshold: Threshold = 0.5
    reduce_zero_label: bool = False
    trims_zeros: bool = False

    def _require_consistent(self) -> None:
        if len(self.classes) != len(self.palette):
            raise ValueError(f"{len(self.classes)} classes but {len(self.palette)} colours")
        if self.pixels == "uint8" and self.channels not in {1, 3}:
            raise ValueError(
                f"a network of {self.channels} channels takes pixels as they are stored: pixels='multispectral'"
            )
        if self.output == "sigmoid" and len(self.classes) != 2:  # noqa: PLR2004
            raise ValueError(f"a sigmoid output means two classes, not {len(self.classes)}")
        if self.output == "sigmoid" and self.returns == "labels":
            raise ValueError("a sigmoid output is compared with a threshold, and labels (returns) are not")

    def _omitted(self) -> tuple[str, ...]:
        return () if self.trims_zeros else ("trims_zeros",)

    def require_scores_resized(self) -> None:
        """Refuse a mask that is brought back by its nearest pixels, where a graph is to take the image.

        Raises:
            UnsupportedError: OpenCV places them in double precision, which not every engine has.
        """
        if self.resize_logits == "to_input" and self.geometry:
            raise UnsupportedError(
                "a graph that takes the image cannot bring a mask back to the image's size by its nearest pixels, as "
                "this network's own framework does (resize_logits: to_input): leave out what takes the image into the "
                "graph (--embed pre), or have scores resized, which decides other pixels along borders "
                "(--cfg-options resize_logits=through_input)"
            )

    def require_common(self, what: str) -> None:
        """Refuse what only some networks of medical images need, where something cannot do it.

        Args:
            what: What cannot, to begin a sentence with.

        Raises:
            UnsupportedError: The image's own values decide how it is normalised or what is cut off, it is padded on
                all sides, or windows are weighed.
        """
        weighed = self.slide is not None and self.slide.blend != "mean"
        centred = self.padding is not None and self.padding.center
        if not self.normalization.is_fixed or weighed or centred or self.trims_zeros:
            raise UnsupportedError(
                f"{what} knows one mean and deviation for each channel, padding at the bottom and right, and windows "
                "that all weigh the same; this network clips values or normalises an image by its own values, cuts "
                "black borders off, pads on all sides or weighs windows by a Gaussian: use the package"
            )

    @property
    def channels(self) -> int:
        """Number of image channels the network takes."""
        return len(self.normalization.mean)
