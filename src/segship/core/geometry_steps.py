"""Steps on an image before it is normalised: each says which size it makes, how, and what its margin is.

A step is added here, with its operators in `segship.onnxgraph.image.sizes`; nothing else knows the steps by name. Sizes
follow mmcv's ``Resize`` and ``Pad``, mmseg's ``ResizeShortestEdge``, Hugging Face's image processors, PaddleSeg's
transforms and Segmenter's inference to the pixel; mmcv's arithmetic is double precision with ``int(x + 0.5)`` because
the rounding of a half decides whether a mask is one column wider.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from segship.core.errors import InputError
from segship.core.frozen import Frozen, Multiple, Positive, Side, Values
from segship.core.validation import Tag

__all__ = [
    "GeometryStep",
    "ImageStep",
    "Interpolation",
    "Letterbox",
    "Pad",
    "Placement",
    "Resize",
    "ResizeByEdge",
    "ResizeEdges",
    "ResizeNear",
    "ResizeShortestEdge",
    "ResizeToMultiple",
    "ResizeWithin",
    "padded_size",
    "padding_words",
    "require_moderate",
]

_MOST_PIXELS = 2**27  # of the network's input; in float32, 1.6 GB for three channels

Interpolation = Literal[
    "bilinear", "float_bilinear", "pillow_bilinear", "pillow_bicubic", "torchvision_bilinear", "torchvision_bicubic",
    "float_antialiased",
]  # fmt: skip
"""How pixels are resized: OpenCV's bilinear, rounded to whole numbers; the same unrounded, as torch does; Pillow's
filters, which widen where they shrink (antialiasing); torchvision's of bytes, the same with weights of 16 bits; and
Pillow's bilinear filter unrounded, as torch does with antialiasing."""


@dataclass(frozen=True)
class Placement:
    """The sizes that a step makes of an image of one size: it resizes the image and puts it into a frame.

    Attributes:
        size: (height, width) of the result.
        inner: (height, width) that the image is resized to; smaller than ``size`` where there is a margin.
        origin: (top, left) of the image in the result.
    """

    size: tuple[int, int]
    inner: tuple[int, int]
    origin: tuple[int, int] = (0, 0)


class ImageStep(Frozen):
    """The base of all steps."""

    @abstractmethod
    def _plan(self, height: int, width: int) -> Placement:
        """The plan, of which sizes may be zero."""

    def plan(self, height: int, width: int) -> Placement:
        """Return what the step does to an image of ``height`` x ``width`` pixels.

        Raises:
            InputError: The image would have no pixels left, or more than fit into memory.
        """
        plan = self._plan(height, width)
        require_moderate(plan.size, (height, width))
        if min(plan.size) < 1:
            raise InputError(
                f"an image of {height}x{width} pixels (height x width) would be resized to "
                f"{plan.size[0]}x{plan.size[1]}: it is too narrow for this network's resize rule, cut it into pieces"
            )
        return plan

    @abstractmethod
    def _words(self) -> str:
        """What the step does, without its interpolation."""

    def __str__(self) -> str:
        return self._words() + ("" if self.resampling == "bilinear" else f" ({self.resampling.replace('_', ', ')})")

    @property
    def resampling(self) -> Interpolation:
        """The interpolation of pixels: the field ``interpolation`` of steps that have one, else bilinear."""
        found: Interpolation = getattr(self, "interpolation", "bilinear")
        return found

    @property
    def margin(self) -> tuple[float, ...]:
        """Value of the margin, for each channel in the order of the decoded image (BGR), or one for all."""
        found: tuple[float, ...] = getattr(self, "value", (0.0,))
        return found

    @property
    def cuts_margin(self) -> bool:
        """True where the margin is cut off from the logits before they are resized back."""
        return bool(getattr(self, "crop", False))


def _resized(height: int, width: int) -> Placement:
    """The plan of a step that makes no margin."""
    return Placement((height, width), (height, width))


def require_moderate(size: tuple[int, int], image: tuple[int, int]) -> None:
    """Refuse what would fill the memory, before it is allocated.

    Args:
        size: (height, width) that an image shall get.
        image: (height, width) that it has.

    Raises:
        InputError: ``size`` has more than 134 million pixels, and more than four times the image's.
    """
    if size[0] * size[1] > max(_MOST_PIXELS, 4 * image[0] * image[1]):
        raise InputError(
            f"an image of {image[0]}x{image[1]} pixels (height x width) would become {size[0]}x{size[1]}, more than "
            f"{_MOST_PIXELS} pixels: the size rule of the network is not meant for it"
        )


def padded_size(
    height: int, width: int, *, to: tuple[int | None, int | None] = (None, None), multiple_of: int | None
) -> tuple[int, int]:
    """Return the size after padding at the bottom and right.

    Args:
        height: Height of the image.
        width: Width of the image.
        to: (height, width) that the result has at least; None leaves that side.
        multiple_of: Each side is then raised to the next multiple; None leaves both.

    Returns:
        (height, width), never smaller than the image.
    """
    multiple = multiple_of or 1
    sides = (max(height, to[0] or 0), max(width, to[1] or 0))
    return (-(-sides[0] // multiple) * multiple, -(-sides[1] // multiple) * multiple)


def padding_words(height: int | None, width: int | None, multiple_of: int | None) -> str:
    """Say how the bottom and right are padded: ``pad to 512x512 (height x width)``."""
    if multiple_of is not None:
        return f"pad to a multiple of {multiple_of}"
    return f"pad to {height or 'its own'}x{width or 'its own'} (height x width)"


def _multiple_words(multiple_of: int) -> str:
    return "" if multiple_of == 1 else f", to a multiple of {multiple_of}"


def _margin_words(value: tuple[float, ...]) -> str:
    return " ".join(f"{number:.6g}" for number in value)


def _within(limits: tuple[int, int], height: int, width: int) -> Placement:
    """The largest size of the same aspect ratio whose long and short edge stay within the larger and smaller limit."""
    factor = min(max(limits) / max(height, width), min(limits) / min(height, width))
    return _resized(int(height * factor + 0.5), int(width * factor + 0.5))


class Resize(ImageStep):
    """Resize of the uint8 image (``Resize`` of mmcv).

    Attributes:
        width, height: Target size in pixels. With ``keep_ratio`` the image is scaled so that its long edge is at most
            ``max(width, height)`` and its short edge at most ``min(width, height)``, whichever is reached first.
        keep_ratio: Keep the aspect ratio.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize"] = "resize"
    width: Side
    height: Side
    keep_ratio: bool = False
    interpolation: Interpolation = "bilinear"

    def _words(self) -> str:
        size = f"{self.height}x{self.width} (height x width)"
        return f"resize to fit {size}, aspect ratio kept" if self.keep_ratio else f"resize to {size}"

    def _plan(self, height: int, width: int) -> Placement:
        if self.keep_ratio:
            return _within((self.width, self.height), height, width)
        return _resized(self.height, self.width)


class ResizeShortestEdge(ImageStep):
    """Scale the short edge to ``size``, less where the long edge would pass ``max_size`` (mmseg's transform)."""

    kind: Literal["resize_shortest_edge"] = "resize_shortest_edge"
    size: Side
    max_size: Positive

    def _words(self) -> str:
        return f"resize the short edge to {self.size}, the long edge to at most {self.max_size}"

    def _plan(self, height: int, width: int) -> Placement:
        size = float(self.size)
        factor = size / min(height, width)
        new_height, new_width = (size, factor * width) if height < width else (factor * height, size)
        longest = max(new_height, new_width)
        if longest > self.max_size:
            shrink = self.max_size / longest
            new_height, new_width = new_height * shrink, new_width * shrink
        # mmseg hands the two lengths on to the resize that keeps the aspect ratio.
        return _within((int(new_width + 0.5), int(new_height + 0.5)), height, width)


class ResizeToMultiple(ImageStep):
    """Bilinear resize of each side up to the next multiple of ``multiple_of`` (mmseg's transform)."""

    kind: Literal["resize_to_multiple"] = "resize_to_multiple"
    multiple_of: Multiple

    def _words(self) -> str:
        return f"resize each side up to a multiple of {self.multiple_of}"

    def _plan(self, height: int, width: int) -> Placement:
        return _resized(*padded_size(height, width, multiple_of=self.multiple_of))


class ResizeEdges(ImageStep):
    """Scale the short edge to a length; the long edge follows, rounded down (Hugging Face processors, Segmenter).

    Attributes:
        short: Length of the short edge.
        long: Greatest length of the long edge, or None; an image that would pass it is scaled to it instead.
        multiple_of: Raise each side to the next multiple.
        enlarge_only: Leave images alone whose short edge is as long already.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_edges"] = "resize_edges"
    short: Side
    long: Positive | None = None
    multiple_of: Multiple = 1
    enlarge_only: bool = False
    interpolation: Interpolation = "bilinear"

    def _words(self) -> str:
        words = f"resize the short edge to {'at least ' * self.enlarge_only}{self.short}"
        words += "" if self.long is None else f", the long edge to at most {self.long}"
        return words + _multiple_words(self.multiple_of)

    def _plan(self, height: int, width: int) -> Placement:
        short, long = min(height, width), max(height, width)
        if self.enlarge_only:
            # The ratio first, as Segmenter computes it: it decides whether a product that is a whole number stays one.
            sides = (short, long) if short >= self.short else (self.short, int(long / short * self.short))
        else:
            exact: float = self.short
            if self.long is not None and long / short * self.short > self.long:
                exact = self.long * short / long
            sides = (round(exact), int(exact * long / short)) if round(exact) != short else (short, long)
        size = sides if height <= width else sides[::-1]
        return _resized(*padded_size(*size, multiple_of=self.multiple_of))


class ResizeByEdge(ImageStep):
    """Scale the short or the long edge to a length, both sides rounded to the nearest, halves to even (PaddleSeg).

    Attributes:
        short: Length of the short edge, or None.
        long: Length of the long edge, or None; where both are given, the smaller scale counts.
        multiple_of: Raise each side to the next multiple.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_by_edge"] = "resize_by_edge"
    short: Side | None = None
    long: Side | None = None
    multiple_of: Multiple = 1
    interpolation: Interpolation = "bilinear"

    def _require_consistent(self) -> None:
        if self.short is None and self.long is None:
            raise ValueError("ResizeByEdge takes short, long, or both")

    def _words(self) -> str:
        edges = (("short", self.short), ("long", self.long))
        words = [f"the {edge} edge to {length}" for edge, length in edges if length is not None]
        smaller = ", whichever is smaller" if len(words) > 1 else ""
        return f"resize {' or '.join(words)}{smaller}{_multiple_words(self.multiple_of)}"

    def _plan(self, height: int, width: int) -> Placement:
        lengths = ((self.short, min(height, width)), (self.long, max(height, width)))
        factor = min(wanted / found for wanted, found in lengths if wanted is not None)
        size = round(height * factor), round(width * factor)
        return _resized(*padded_size(*size, multiple_of=self.multiple_of))


class ResizeNear(ImageStep):
    """Scale as little as possible so that one side has its target length (DPT's processor).

    Attributes:
        width, height: Target lengths.
        multiple_of: Each side becomes the nearest multiple.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_near"] = "resize_near"
    width: Side
    height: Side
    multiple_of: Multiple = 1
    interpolation: Interpolation = "bilinear"

    def _words(self) -> str:
        return f"resize near {self.height}x{self.width} (height x width){_multiple_words(self.multiple_of)}"

    def _plan(self, height: int, width: int) -> Placement:
        tall, wide = self.height / height, self.width / width
        scale = wide if abs(1 - wide) < abs(1 - tall) else tall
        rows, columns = (round(scale * side / self.multiple_of) * self.multiple_of for side in (height, width))
        return _resized(rows, columns)


class ResizeWithin(ImageStep):
    """Scale to the largest size within a frame, both sides rounded down (Hugging Face's max_height and max_width).

    Attributes:
        width, height: Of the frame.
        multiple_of: Raise each side to the next multiple.
        interpolation: How pixels are resized.
    """

    kind: Literal["resize_within"] = "resize_within"
    width: Side
    height: Side
    multiple_of: Multiple = 1
    interpolation: Interpolation = "bilinear"

    def _words(self) -> str:
        size = f"{self.height}x{self.width} (height x width)"
        return f"resize to fit within {size}, aspect ratio kept{_multiple_words(self.multiple_of)}"

    def _plan(self, height: int, width: int) -> Placement:
        scale = min(self.height / height, self.width / width)
        return _resized(*padded_size(int(height * scale), int(width * scale), multiple_of=self.multiple_of))


class Letterbox(ImageStep):
    """Fit the image into a frame, its aspect ratio kept, and put it in the middle (Ultralytics).

    The margin is cut off from the logits before they are resized back.

    Attributes:
        width, height: Of the frame.
        value: Value of the margin, for each channel in the order of the decoded image (BGR).
    """

    kind: Literal["letterbox"] = "letterbox"
    width: Side
    height: Side
    value: Values = (0.0,)

    @property
    def cuts_margin(self) -> bool:
        """Always true: the margin is cut off from the logits."""
        return True

    def _words(self) -> str:
        return f"fit into the middle of {self.height}x{self.width} (height x width), margin {_margin_words(self.value)}"

    def _plan(self, height: int, width: int) -> Placement:
        scale = min(self.height / height, self.width / width)
        rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
        # Of an odd margin the smaller half comes first; a tenth keeps the rounding of halves out of it.
        origin = round((self.height - rows) / 2 - 0.1), round((self.width - columns) / 2 - 0.1)
        return Placement((self.height, self.width), (rows, columns), origin)


class Pad(ImageStep):
    """Pad the uint8 image at the bottom and right (``Pad`` of mmcv).

    Attributes:
        height, width: Size to pad to; an image that is larger is left alone.
        multiple_of: Pad up to the next multiple instead.
        value: Value of the new pixels, for each channel in the order of the decoded image (BGR).
        crop: Whether the padded margin is cut off from the logits before they are resized back.
    """

    kind: Literal["pad"] = "pad"
    height: Side | None = None
    width: Side | None = None
    multiple_of: Multiple | None = None
    value: Values = (0.0,)
    crop: bool = False

    def _require_consistent(self) -> None:
        if (self.multiple_of is None) == (self.height is None or self.width is None):
            raise ValueError("Pad takes either height and width, or multiple_of")

    def _words(self) -> str:
        return f"{padding_words(self.height, self.width, self.multiple_of)} with {_margin_words(self.value)}"

    def _plan(self, height: int, width: int) -> Placement:
        size = padded_size(height, width, to=(self.height, self.width), multiple_of=self.multiple_of)
        return Placement(size, (height, width))


GeometryStep = Annotated[
    Resize
    | ResizeShortestEdge
    | ResizeToMultiple
    | ResizeByEdge
    | ResizeEdges
    | ResizeNear
    | ResizeWithin
    | Letterbox
    | Pad,
    Tag("kind"),
]
