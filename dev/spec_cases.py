"""The cases of spec/vectors: what each network expects, and images and logits made of whole-number formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.spec import (
    Letterbox,
    ModelSpec,
    Normalization,
    Pad,
    Padding,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
    ResizeWithin,
    Slide,
)
from segship.vision.palette import generate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CASES", "Case", "hashed", "make_image", "make_logits", "make_spec"]

_IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


@dataclass(frozen=True)
class Case:
    """One golden vector.

    Attributes:
        name: Of its files.
        what: What it covers, for people.
        image: (height, width, bands, NumPy's name of the numbers).
        classes: How many; a sigmoid output has one channel for two classes.
        stride: Pixels of the network's input that share one cell of the logits; 0: one cell in all.
        spec: Fields of `ModelSpec` that differ from what `make_spec` takes for granted.
        logits: What is put into the logits: ``"nan"``, ``"ties"``, ``"probabilities"``, or nothing.
    """

    name: str
    what: str
    image: tuple[int, int, int, str] = (37, 53, 3, "uint8")
    classes: int = 19
    stride: int = 8
    spec: dict[str, Any] | None = None
    logits: str = ""


def hashed(shape: tuple[int, ...], seed: int, levels: int) -> NDArray[np.int64]:
    """Return whole numbers in 0-(``levels`` - 1) that look random: the same on every machine."""
    number = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed * 1_000_003 + 1)
    for multiplier in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):
        number = (number ^ (number >> np.uint64(29))) * np.uint64(multiplier)
    return ((number >> np.uint64(33)) % np.uint64(levels)).astype(np.int64).reshape(shape)


def make_image(height: int, width: int, bands: int, dtype: str) -> NDArray[Any]:
    """Return an image (height, width, bands): slopes, flat patches and noise."""
    rows, columns = np.mgrid[:height, :width]
    slope = (rows * 5 + columns * 3)[:, :, None] + np.arange(bands) * 40
    patches = hashed((height // 9 + 1, width // 9 + 1, bands), 7, 180).repeat(9, axis=0).repeat(9, axis=1)
    pixels = (slope + patches[:height, :width] + hashed((height, width, bands), 3, 24)) % 256
    if dtype == "uint8":
        return pixels.astype(np.uint8)
    return (pixels * 13 + 5).astype(dtype) if dtype == "uint16" else (pixels / 64 - 2).astype(dtype)


def make_logits(number: int, classes: int, height: int, width: int, seed: int, kind: str = "") -> NDArray[np.float32]:
    """Return logits (number, classes, height, width): patches of a winner with noise, multiples of 1/256."""
    coarse = hashed((number, classes, height // 3 + 1, width // 3 + 1), seed, 1200)
    coarse = coarse.repeat(3, axis=2).repeat(3, axis=3)[:, :, :height, :width]
    whole = coarse + hashed(coarse.shape, seed + 1, 500)
    logits = (whole / 2048 if kind == "probabilities" else (whole - 850) / 256).astype(np.float32)
    if kind == "ties":
        logits[:, 1::2] = logits[:, : classes - 1 : 2]  # pairs of equal classes: the first of them wins
    if kind == "nan":
        logits[:, classes // 2, 1, 1] = np.nan
        logits[:, classes - 1, height - 1, 0] = np.nan
        logits[:, 0, 0, width - 1] = np.inf
        logits[:, classes - 1, height - 1, width - 1] = -np.inf
    return logits


def make_spec(classes: int, bands: int, fields: dict[str, Any] | None = None) -> ModelSpec:
    """Return a spec of so many classes and bands; ``fields`` replace its own."""
    names = tuple(f"class {number}" for number in range(classes))
    base: dict[str, Any] = {
        "source": "python",
        "architecture": "golden vector",
        "classes": names,
        "palette": generate(classes),
        "normalization": Normalization(**_IMAGENET) if bands == 3 else _few(bands),
    }
    return ModelSpec(**(base | (fields or {})))


def _few(bands: int) -> Normalization:
    return Normalization(
        mean=tuple(100.5 + 10 * band for band in range(bands)), std=tuple(50.25 + band for band in range(bands))
    )


_BGR = Normalization(channel_order="bgr", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
_SIGMOID = {"output": "sigmoid"}
_RESIZE = Resize(width=64, height=48)

CASES = (
    Case("whole", "no geometry; one resize of the logits"),
    Case(
        "whole_corners_bgr",
        "two classes, align_corners, channels turned to BGR",
        classes=2,
        spec={"align_corners": True, "normalization": _BGR},
    ),
    Case(
        "resize_150",
        "image resized up, 150 classes, two resizes of the logits",
        classes=150,
        spec={"geometry": (_RESIZE,)},
    ),
    Case(
        "resize_corners",
        "two resizes of the logits with align_corners",
        spec={"geometry": (_RESIZE,), "align_corners": True},
    ),
    Case(
        "resize_directly",
        "logits resized to the image at once",
        spec={"geometry": (_RESIZE,), "resize_logits": "directly"},
    ),
    Case(
        "resize_half",
        "image resized to exactly the half, mask at twice the input's size",
        image=(48, 64, 3, "uint8"),
        stride=4,
        spec={"geometry": (Resize(width=32, height=24),)},
    ),
    Case(
        "resize_large",
        "image enlarged much; the logits have more cells than the image pixels",
        image=(9, 13, 3, "uint8"),
        stride=4,
        spec={"geometry": (Resize(width=130, height=77),)},
    ),
    Case(
        "keep_ratio_pad",
        "Resize with keep_ratio, then Pad to a multiple, whose margin stays in the logits",
        spec={"geometry": (Resize(width=90, height=40, keep_ratio=True), Pad(multiple_of=32, value=(0.0,)))},
    ),
    Case(
        "pad_crop",
        "Pad whose margin is cut off from the logits; a colour for each channel, in the order BGR",
        spec={"geometry": (Pad(height=48, width=72, value=(10.0, 120.0, 250.0), crop=True),)},
    ),
    Case(
        "pad_fraction",
        "a margin of fractions: pixels are float32 from there on",
        spec={"geometry": (Pad(height=41, width=57, value=(103.53, 116.28, 123.675)),)},
    ),
    Case(
        "shortest_edge",
        "ResizeShortestEdge, bounded by max_size",
        image=(31, 77, 3, "uint8"),
        spec={"geometry": (ResizeShortestEdge(size=40, max_size=81),)},
    ),
    Case(
        "to_multiple", "ResizeToMultiple", spec={"geometry": (ResizeToMultiple(multiple_of=16),), "align_corners": True}
    ),
    Case(
        "edges_pillow",
        "ResizeEdges with a longest edge, Pillow's bilinear filter, antialiased",
        image=(70, 50, 3, "uint8"),
        spec={"geometry": (ResizeEdges(short=28, long=36, interpolation="pillow_bilinear"),)},
    ),
    Case(
        "edges_enlarge",
        "ResizeEdges that only enlarges, to a multiple",
        spec={"geometry": (ResizeEdges(short=43, multiple_of=8, enlarge_only=True),)},
    ),
    Case(
        "by_edge_float",
        "ResizeByEdge, not rounded to whole pixels",
        spec={"geometry": (ResizeByEdge(short=45, long=60, interpolation="float_bilinear"),)},
    ),
    Case(
        "near_bicubic",
        "ResizeNear to a multiple, Pillow's bicubic filter",
        stride=7,
        spec={"geometry": (ResizeNear(width=56, height=42, multiple_of=14, interpolation="pillow_bicubic"),)},
    ),
    Case(
        "letterbox",
        "Letterbox of a tall image, an odd margin; two crops on the way back",
        image=(61, 34, 3, "uint8"),
        spec={
            "geometry": (Letterbox(width=64, height=96, value=(114.0, 113.0, 112.0)),),
            "padding": Padding(multiple_of=40),
        },
    ),
    Case(
        "letterbox_wide",
        "Letterbox that shrinks a wide image, then Pad, both cut off",
        image=(30, 90, 3, "uint8"),
        spec={"geometry": (Letterbox(width=64, height=64, value=(114.0,)), Pad(multiple_of=48, crop=True))},
    ),
    Case(
        "padding",
        "padding of the normalised image",
        spec={"padding": Padding(height=40, width=40, multiple_of=16, value=0.5)},
    ),
    Case(
        "slide",
        "windows smaller than the image, the last moved back inside",
        stride=4,
        spec={"slide": Slide(crop=(24, 24), stride=(16, 16))},
    ),
    Case(
        "slide_larger",
        "a window larger than the image: it is seen whole",
        spec={"slide": Slide(crop=(64, 64), stride=(40, 40))},
    ),
    Case(
        "slide_corners",
        "windows over a resized image, align_corners; lines that three windows cover",
        classes=7,
        spec={"geometry": (_RESIZE,), "slide": Slide(crop=(32, 24), stride=(12, 10)), "align_corners": True},
    ),
    Case(
        "slide_letterbox",
        "windows over a letterboxed image",
        classes=5,
        spec={"geometry": (Letterbox(width=64, height=48),), "slide": Slide(crop=(32, 32), stride=(32, 20))},
    ),
    Case("sigmoid", "one channel; label 1 where its probability is above a half", classes=2, spec=_SIGMOID),
    Case(
        "sigmoid_low",
        "threshold 0.3, two resizes",
        classes=2,
        spec=_SIGMOID | {"threshold": 0.3, "geometry": (_RESIZE,)},
    ),
    Case(
        "sigmoid_slide",
        "threshold 0.9 over windows",
        classes=2,
        stride=4,
        spec=_SIGMOID | {"threshold": 0.9, "slide": Slide(crop=(24, 24), stride=(16, 16))},
    ),
    Case(
        "probabilities",
        "a network whose softmax is inside it, two resizes",
        classes=6,
        spec={"returns": "probabilities", "geometry": (_RESIZE,)},
        logits="probabilities",
    ),
    Case(
        "probabilities_sigmoid",
        "a network whose sigmoid is inside it, threshold 0.3",
        classes=2,
        spec=_SIGMOID | {"returns": "probabilities", "threshold": 0.3},
        logits="probabilities",
    ),
    Case("classes_300", "labels of 16 bits", image=(24, 30, 3, "uint8"), classes=300, spec={"align_corners": True}),
    Case(
        "grey",
        "a network of one channel: the image becomes grey before it is resized",
        classes=3,
        spec={"normalization": _few(1), "geometry": (_RESIZE,)},
    ),
    Case(
        "bands_5",
        "five bands of 16 bits, as they are stored",
        image=(29, 31, 5, "uint16"),
        classes=4,
        spec={"pixels": "multispectral", "normalization": _few(5), "padding": Padding(multiple_of=16)},
    ),
    Case(
        "bands_2_float",
        "two bands of fractions, resized",
        image=(29, 31, 2, "float32"),
        classes=4,
        spec={"pixels": "multispectral", "normalization": _few(2), "geometry": (_RESIZE,)},
    ),
    Case("nan", "undefined and infinite logits: NaN wins wherever its weight is not zero", logits="nan"),
    Case(
        "nan_sigmoid",
        "an undefined probability is not above the threshold",
        classes=2,
        spec=_SIGMOID,
        logits="nan",
    ),
    Case("nan_two_resizes", "undefined logits through two resizes", spec={"geometry": (_RESIZE,)}, logits="nan"),
    Case("ties", "equal logits: the first class wins", classes=8, logits="ties"),
    Case("same_size", "logits as large as the image: nothing is resized", image=(12, 17, 3, "uint8"), stride=1),
    Case(
        "one_pixel",
        "an image of one pixel, enlarged",
        image=(1, 1, 3, "uint8"),
        spec={"geometry": (Resize(width=32, height=24),)},
    ),
    Case("one_row", "an image of one row", image=(1, 45, 3, "uint8"), spec={"align_corners": True}),
    Case("one_column", "an image of one column", image=(45, 1, 3, "uint8")),
    Case("one_cell", "logits of one cell", stride=0, spec={"align_corners": True}),
    Case(
        "by_edge_multiple",
        "ResizeByEdge, each side to a multiple",
        spec={"geometry": (ResizeByEdge(short=45, long=60, multiple_of=16),)},
    ),
    Case(
        "slide_spread",
        "windows at equal distances, as few as cover the input",
        image=(45, 101, 3, "uint8"),
        spec={"slide": Slide(crop=(45, 45), stride=(45, 45), spread=True)},
    ),
    Case(
        "resize_torchvision",
        "Resize by torchvision's bilinear filter: one axis shrinks, the other grows",
        image=(70, 50, 3, "uint8"),
        spec={"geometry": (Resize(width=80, height=33, interpolation="torchvision_bilinear"),)},
    ),
    Case(
        "near_torchvision",
        "ResizeNear to a multiple, torchvision's bicubic filter",
        stride=7,
        spec={"geometry": (ResizeNear(width=56, height=42, multiple_of=14, interpolation="torchvision_bicubic"),)},
    ),
    Case(
        "edges_antialiased",
        "ResizeEdges with antialiasing, not rounded to whole pixels",
        spec={"geometry": (ResizeEdges(short=29, interpolation="float_antialiased"),)},
    ),
    Case(
        "to_input",
        "decided at the input's size, an enlarged image's; from there the nearest pixels",
        spec={"geometry": (ResizeByEdge(short=45, long=60, multiple_of=32),), "resize_logits": "to_input"},
    ),
    Case(
        "to_input_shrunk",
        "decided at the input's size, a third of the image's; from there the nearest pixels",
        image=(60, 93, 3, "uint8"),
        stride=4,
        spec={"geometry": (Resize(width=31, height=20),), "resize_logits": "to_input", "align_corners": True},
    ),
    Case(
        "to_input_letterbox",
        "windows over a letterboxed image; the margins are cut off by nearest pixels",
        classes=5,
        spec={
            "geometry": (Letterbox(width=64, height=48), Pad(height=64, width=80, crop=True)),
            "resize_logits": "to_input",
            "slide": Slide(crop=(32, 32), stride=(32, 20)),
        },
    ),
    Case(
        "to_input_sigmoid",
        "one channel and threshold 0.3, decided at the input's size",
        classes=2,
        spec=_SIGMOID | {"threshold": 0.3, "geometry": (_RESIZE,), "resize_logits": "to_input"},
    ),
    Case(
        "within_multiple",
        "ResizeWithin a frame that is wider than the image, each side up to a multiple, Pillow's filter",
        spec={"geometry": (ResizeWithin(width=60, height=43, multiple_of=4, interpolation="pillow_bilinear"),)},
    ),
    Case(
        "normalised_float64",
        "normalised in double precision, rounded once",
        spec={"normalization": Normalization(**_IMAGENET, arithmetic="float64")},
    ),
)
