"""PaddleSeg's transforms of the evaluation as data: what happens to an image before the network sees it.

PaddleSeg works on float32 images of red, green and blue in 0-255 from the first step on: resizes are not rounded, and
padding may have fractions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["read_transforms"]

_Arguments = dict[str, Any]
_Transform: TypeAlias = "tuple[Callable[[_Arguments, _Steps], None], frozenset[str]]"

_PAIR = 2
_PADDING = 127.5
_ONLY_LINEAR = "only LINEAR is provided"


class _Steps:
    """What the steps so far amount to, in the words of a description."""

    def __init__(self) -> None:
        self.geometry: list[dict[str, Any]] = []
        self.normalization: dict[str, Any] | None = None
        self.padding: dict[str, Any] | None = None
        self.unknown: list[str] = []
        self.interpolation = "float_bilinear"


def read_transforms(transforms: Any, where: str, *, paddlex: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return what a list of transforms means, as `read_description` takes it, and a sentence for each unknown argument.

    Args:
        transforms: ``[{"type": "Normalize"}]``, from ``deploy.yaml``; None or empty: none.
        where: Name of the file, for messages.
        paddlex: Take PaddleX's two transforms, defaults and interpolation, which are not PaddleSeg's.

    Raises:
        ConfigError: It is no list of transforms, or an argument makes no sense.
        UnsupportedError: A transform or an argument is not provided.
    """
    steps, known = _Steps(), _OF_PADDLEX if paddlex else _TRANSFORMS
    steps.interpolation = "bilinear" if paddlex else steps.interpolation
    if not isinstance(transforms, (list, type(None))):
        raise ConfigError(f"{where}: transforms is a {type(transforms).__name__}, expected a list")
    for number, transform in enumerate(transforms or ()):
        if not isinstance(transform, dict) or not isinstance(transform.get("type"), str):
            raise ConfigError(f"{where}: transform {number} is {transform!r:.60}, expected a mapping with a type")
        _apply(transform, steps, where, known)
    if paddlex and steps.normalization is None:
        raise ConfigError(f"{where}: transforms has no Normalize, without which PaddleX runs nothing: add it")
    said: dict[str, Any] = {"geometry": steps.geometry}
    said["normalization"] = {"channel_order": "rgb", "max_pixel_value": 1.0} | (steps.normalization or {})
    if paddlex and steps.geometry:
        said["resize_logits"] = "to_input"
    return said | ({"padding": steps.padding} if steps.padding else {}), steps.unknown


def _apply(transform: dict[Any, Any], steps: _Steps, where: str, transforms: Mapping[str, _Transform]) -> None:
    name = transform["type"]
    if name not in transforms:
        raise UnsupportedError(
            f"{where}: the transform {name!r:.60} is not provided; known are {', '.join(transforms)}."
            f"{did_you_mean(name, transforms)} Describe the input yourself with --spec FILE, or take the "
            "transform out of the file if it does nothing to an image that is evaluated"
        )
    function, known = transforms[name]
    arguments = {str(key): value for key, value in transform.items() if key != "type"}
    unknown = sorted(arguments.keys() - known)
    steps.unknown += [f"{name} has no argument {key!r:.80}.{did_you_mean(key, known)}" for key in unknown]
    try:
        function({key: value for key, value in arguments.items() if key in known}, steps)
    except KeyError as error:
        raise ConfigError(f"{where}: {name} cannot be used without {error.args[0]}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{where}: {name} cannot be used with {arguments!r:.100}: {error}") from None
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: {name}: {error}") from None


def _normalize(arguments: _Arguments, steps: _Steps) -> None:
    if steps.normalization is not None:
        raise UnsupportedError("it is there twice")
    mean, std = (_numbers(arguments.get(key, 0.5)) for key in ("mean", "std"))
    if not all(std):
        raise ValueError("std must not be zero")
    steps.normalization = {"mean": mean, "std": std, "max_pixel_value": 255.0}


def _normalize_of_paddlex(arguments: _Arguments, steps: _Steps) -> None:
    """As `_normalize`; the last of several counts."""
    steps.normalization = None
    _normalize(arguments, steps)


def _resize(arguments: _Arguments, steps: _Steps) -> None:
    width, height = _sides(arguments.get("target_size", (512, 512)))
    divisor = _whole(arguments.get("size_divisor") or 1)
    if arguments.get("keep_ratio"):
        edges = {"short": min(width, height), "long": max(width, height)}
        _geometry(steps, arguments, kind="resize_by_edge", **edges, multiple_of=divisor)
        return
    width, height = (-(-side // divisor) * divisor for side in (width, height))
    _geometry(steps, arguments, kind="resize", width=width, height=height)


def _resize_of_paddlex(arguments: _Arguments, steps: _Steps) -> None:
    """As `_resize`, with PaddleX's defaults; the last of several counts.

    PaddleX resizes bytes, and before it normalises, whatever comes first.
    """
    steps.geometry.clear()
    size = arguments.get("target_size", -1)
    if isinstance(arguments.get("interp"), str):
        arguments = arguments | {"interp": arguments["interp"].upper()}
    if size == -1 or size in ([-1, -1], (-1, -1)):
        return
    _resize({"keep_ratio": True, "size_divisor": 32} | arguments | {"target_size": size}, steps)


def _resize_by_short(arguments: _Arguments, steps: _Steps) -> None:
    longest = arguments.get("max_size")
    bound = {} if longest is None or longest == -1 else {"long": _whole(longest)}
    _geometry(steps, arguments, kind="resize_by_edge", short=_whole(arguments["short_size"]), **bound)


def _resize_by_long(arguments: _Arguments, steps: _Steps) -> None:
    _geometry(steps, arguments, kind="resize_by_edge", long=_whole(arguments["long_size"]))


def _pad(arguments: _Arguments, steps: _Steps) -> None:
    width, height = _sides(arguments["target_size"])
    value = _numbers(arguments.get("im_padding_value", _PADDING))
    if steps.normalization is None:
        # A description's values are those of the decoded image, whose order is blue, green, red.
        steps.geometry.append({"kind": "pad", "width": width, "height": height, "value": value[::-1], "crop": True})
    elif len(set(value)) > 1:
        raise UnsupportedError("after Normalize, one im_padding_value for all channels is provided")
    else:
        steps.padding = {"width": width, "height": height, "value": value[0]}


def _geometry(steps: _Steps, arguments: _Arguments, **step: Any) -> None:
    """Take up a resize. Resizing normalised pixels is the same as normalising resized ones."""
    if steps.padding is not None:
        raise UnsupportedError("a resize after a padding of the normalised image is not provided")
    interpolation = arguments.get("interp", "LINEAR")
    if interpolation != "LINEAR":
        raise UnsupportedError(f"interp is {interpolation!r:.40}, {_ONLY_LINEAR}")
    steps.geometry.append(step | {"interpolation": steps.interpolation})


def _numbers(value: Any) -> tuple[float, ...]:
    """One number, or one for each channel."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    if not values:
        raise ValueError("numbers are expected")
    return tuple(float(number) for number in values)


def _sides(value: Any) -> tuple[int, int]:
    """``(width, height)``, or one number for both."""
    values = value if isinstance(value, (list, tuple)) else (value, value)
    if len(values) != _PAIR:
        raise ValueError("a size is a width and a height")
    return _whole(values[0]), _whole(values[1])


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r:.40} is no whole number above zero")
    return value


_TRANSFORMS: dict[str, _Transform] = {
    "Normalize": (_normalize, frozenset({"mean", "std"})),
    "Resize": (_resize, frozenset({"target_size", "interp", "keep_ratio", "size_divisor"})),
    "ResizeByShort": (_resize_by_short, frozenset({"short_size", "max_size"})),
    "ResizeByLong": (_resize_by_long, frozenset({"long_size"})),
    "Padding": (_pad, frozenset({"target_size", "im_padding_value", "label_padding_value"})),
}
_OF_PADDLEX: dict[str, _Transform] = {
    "Normalize": (_normalize_of_paddlex, _TRANSFORMS["Normalize"][1]),
    "Resize": (_resize_of_paddlex, _TRANSFORMS["Resize"][1]),
}
