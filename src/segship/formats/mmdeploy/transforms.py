"""Preprocessing as MMDeploy's transforms, read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from segship.core.errors import UnsupportedError, did_you_mean
from segship.core.geometry_steps import Pad, Resize
from segship.core.mistakes import ValidationError
from segship.core.spec import Normalization, Padding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from segship.core.geometry_steps import GeometryStep
    from segship.core.spec import ModelSpec
    from segship.formats.mmdeploy.documents import Transform

__all__ = ["AGAIN", "read_transforms", "write_transforms"]

AGAIN = "export the checkpoint again, with segship export CONFIG CHECKPOINT OUT"
"""What to do with a folder that cannot be opened."""
_LOAD, _COLLECT, _TO_TENSOR = "LoadImageFromFile", "Collect", "ImageToTensor"
_RESIZE, _NORMALIZE, _PAD, _FLIP = "Resize", "Normalize", "Pad", "RandomFlip"
_NO_PIXELS = frozenset({
    _LOAD,
    "LoadImageFromNDArray",
    "LoadAnnotations",
    _TO_TENSOR,
    "DefaultFormatBundle",
    "PackSegInputs",
    _COLLECT,
})  # fmt: skip
_COLORS = {"color", "color_ignore_orientation"}
_INTERPOLATION: Literal["bilinear"] = "bilinear"
_META = ["img_norm_cfg", "flip", "ori_shape", "img_shape", "pad_shape", "valid_ratio", "scale_factor", "filename"]
_PHOTOGRAPH = 3
_LONGEST_SIDE = 2**16
_GREATEST = 1e30
_KNOWN = {
    _LOAD: {"color_type", "to_float32", "imdecode_backend", "file_client_args", "backend_args", "ignore_empty"},
    _RESIZE: {"size", "scale", "keep_ratio", "interpolation", "backend", "clip_object_border"},
    _NORMALIZE: {"mean", "std", "to_rgb", "to_float"},
    _PAD: {"size", "size_divisor", "divisor", "pad_val", "pad_to_square", "padding_mode", "seg_pad_val"},
    _FLIP: {"prob", "flip_ratio", "flip", "direction", "flip_direction", "swap_seg_labels"},
}
"""What the transforms that decide what a network sees may say. MMDeploy writes options that are not set as null."""


def read_transforms(
    transforms: Sequence[Transform], where: Path
) -> tuple[tuple[GeometryStep, ...], Normalization, Padding | None]:
    """Return what transforms do: steps on the uint8 image, its normalisation, and padding of the normalised image.

    Args:
        transforms: In order.
        where: The file they stand in, for messages.

    Raises:
        UnsupportedError: They do what is not provided here.
    """
    reader = _Reader(where)
    for transform in transforms:
        reader.read(transform)
    if reader.normalization is None:
        raise UnsupportedError(f"{where}: there is no Normalize, so that mean and std are not known")
    return tuple(reader.geometry), reader.normalization, reader.padding


class _Reader:
    """Takes over what transforms do, one after another."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self.geometry: list[GeometryStep] = []
        self.normalization: Normalization | None = None
        self.padding: Padding | None = None

    def read(self, transform: Transform) -> None:
        """Take over what one transform does."""
        name = str(transform.get("type"))
        told = (key for key, value in transform.items() if value is not None and key != "type")
        if name in _KNOWN and (strange := sorted(set(told) - _KNOWN[name])):
            raise UnsupportedError(
                f"{self._where}: {name} has the option {strange[0]!r:.60}, which is not known and may change what the "
                f"network sees.{did_you_mean(strange[0], sorted(_KNOWN[name]))}"
            )
        known: dict[str, Callable[[Transform], None]] = {
            _RESIZE: self._resize,
            _NORMALIZE: self._normalize,
            _PAD: self._pad,
            _FLIP: self._flip,
        }
        if name in known:
            known[name](transform)
        elif name not in _NO_PIXELS:
            self._refuse(f"the transform {name!r} is not provided")
        elif (color := transform.get("color_type", "color")) is not None and str(color) not in _COLORS:
            self._refuse(f"images are loaded as {color!r:.60}, which is not provided")

    def _refuse(self, why: str) -> NoReturn:
        raise UnsupportedError(f"{self._where}: {why}: {AGAIN}")

    def _flag(self, transform: Transform, key: str, *, otherwise: bool) -> bool:
        """A value that is true or false; a text is neither."""
        value: Any = cast("Mapping[str, Any]", transform).get(key)
        if value is None:
            return otherwise
        if not isinstance(value, bool):
            self._refuse(f"{transform.get('type')} has {key} {value!r:.40}, expected true or false")
        return value

    def _resize(self, transform: Transform) -> None:
        if self.normalization is not None:
            self._refuse("the image is resized after it is normalised, which is not provided")
        if (transform.get("interpolation") or _INTERPOLATION) != _INTERPOLATION:
            self._refuse(f"the image is resized by {transform['interpolation']!r:.60}, expected {_INTERPOLATION}")
        width, height = self._pair(transform, "size", "scale")
        keep_ratio = self._flag(transform, "keep_ratio", otherwise=False)
        self.geometry.append(Resize(width=width, height=height, keep_ratio=keep_ratio))

    def _pair(self, transform: Mapping[str, Any], *keys: str) -> tuple[int, int]:
        """(width, height), the first of the keys that is given."""
        size = next((transform[key] for key in keys if transform.get(key) is not None), None)
        pair = [size, size] if isinstance(size, int) else size
        whole = isinstance(pair, list) and len(pair) == 2 and all(map(_is_side, pair))  # noqa: PLR2004
        if not whole:
            self._refuse(f"{transform.get('type')} has the size {size!r:.60}, expected [width, height]")
        return cast("tuple[int, int]", tuple(cast("list[int]", pair)))

    def _normalize(self, transform: Transform) -> None:
        if self.normalization is not None or not self._flag(transform, "to_float", otherwise=True):
            self._refuse("the image is normalised twice, or left as bytes, which is not provided")
        order = "rgb" if self._flag(transform, "to_rgb", otherwise=True) else "bgr"
        mean, std = transform.get("mean"), transform.get("std")
        told = isinstance(mean, list) and isinstance(std, list) and all(map(_is_number, [*mean, *std]))
        try:
            numbers = {"mean": mean, "std": std} if told else {"mean": None}
            self.normalization = Normalization.model_validate({"channel_order": order} | numbers)
        except ValidationError:
            self._refuse(f"Normalize has mean {mean!r:.60} and std {std!r:.60}, expected a number for each channel")

    def _pad(self, transform: Transform) -> None:
        value = transform.get("pad_val", 0)
        value = value.get("img", 0) if isinstance(value, dict) else value
        multiple = transform.get("size_divisor") or transform.get("divisor")
        square = self._flag(transform, "pad_to_square", otherwise=False)
        mode: Any = cast("Mapping[str, Any]", transform).get("padding_mode") or "constant"
        if square or mode != "constant" or not _is_number(value):
            self._refuse(
                "Pad makes the image square, mirrors it, or has another value than one number, which is not provided"
            )
        sides: dict[str, Any] = {"multiple_of": multiple}
        if not _is_side(multiple):
            width, height = self._pair(transform, "size")
            sides = {"width": width, "height": height}
        if self.normalization is None:
            self.geometry.append(Pad(**sides, value=(float(value),), crop=True))
        else:
            self.padding = Padding(**sides, value=float(value))

    def _flip(self, transform: Transform) -> None:
        if transform.get("prob") or transform.get("flip_ratio") or transform.get("flip"):
            self._refuse("the image is flipped, which is not provided")


def _is_side(value: Any) -> bool:
    """Whether ``value`` is a number of pixels that an image can have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LONGEST_SIDE


def _is_number(value: Any) -> bool:
    """Whether ``value`` is a number that float32 can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _GREATEST


def write_transforms(spec: ModelSpec) -> list[Transform]:
    """Return the transforms that prepare an image as ``spec`` says.

    Raises:
        UnsupportedError: MMDeploy's runtime does not provide what the network needs.
    """
    _require_possible(spec)
    return [
        {"type": _LOAD},
        *map(_resize, spec.geometry),
        _normalize(spec.normalization),
        {"type": _TO_TENSOR, "keys": ["img"]},
        {"type": _COLLECT, "keys": ["img"], "meta_keys": _META},
    ]


def _require_possible(spec: ModelSpec) -> None:
    if spec.pixels != "uint8" or spec.channels != _PHOTOGRAPH:
        raise UnsupportedError(
            f"MMDeploy's runtime gives a network photographs of three channels; this one takes {spec.channels}, "
            f"as {spec.pixels}"
        )
    spec.require_common("MMDeploy's runtime")
    if spec.slide is not None:
        raise UnsupportedError("MMDeploy's runtime has no sliding windows; this network slides")
    if not all(isinstance(step, Resize) for step in spec.geometry):
        kinds = ", ".join(step.kind for step in spec.geometry)
        raise UnsupportedError(f"MMDeploy's runtime has only Resize for this; the network's preprocessing is {kinds}")
    if spec.resize_logits == "directly" and spec.geometry:
        raise UnsupportedError(
            "MMDeploy's runtime decides at the network's input size; "
            "this network's logits go to the image's size at once"
        )
    if spec.padding is not None:
        raise UnsupportedError(
            "MMDeploy's runtime does not cut padding off its masks again: use --shape static-HxW, which needs none"
        )


def _resize(step: GeometryStep) -> Transform:
    if not isinstance(step, Resize) or step.interpolation != _INTERPOLATION:
        raise UnsupportedError(
            f"MMDeploy's runtime resizes by {_INTERPOLATION}; the network's preprocessing by {step.resampling}"
        )
    return {"type": _RESIZE, "size": [step.width, step.height], "keep_ratio": step.keep_ratio}


def _normalize(rule: Normalization) -> Transform:
    to_rgb = rule.channel_order == "rgb"
    return {"type": _NORMALIZE, "mean": list(rule.mean), "std": list(rule.std), "to_rgb": to_rgb}
