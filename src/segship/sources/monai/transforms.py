"""Preprocessing, windows and postprocessing of a MONAI bundle, read as data.

Sources: monai.transforms.intensity, monai.inferers.SlidingWindowInferer, monai.transforms.post.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.core.spec import Normalization, Padding, Resize, Slide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Decision",
    "Prepared",
    "read_inferer",
    "read_postprocessing",
    "read_preprocessing",
    "target",
    "without_places",
]

_TARGET = "_target_"
_HARMLESS = frozenset(
    {"AddChannel", "AsChannelFirst", "CastToType", "EnsureChannelFirst", "EnsureType", "Identity", "LoadImage",
     "ToDevice", "ToTensor"}
)  # fmt: skip
_AFTER = frozenset({"EnsureType", "Identity", "Invert", "SaveImage", "ToDevice", "ToTensor"})
_INFERER = frozenset(
    {"buffer_dim", "buffer_steps", "cache_roi_weight_map", "cpu_thresh", "cval", "device", "mode", "overlap",
     "padding_mode", "progress", "roi_size", "sigma_scale", "sw_batch_size", "sw_device", "with_coord"}
)  # fmt: skip
_PLANE = 2
_COLOURS, _WHITE = 3, 255  # images of three channels are bytes
_LINEAR = {"mean", "std"}
_LAMBDA = "Lambda"
_FOREGROUND = re.compile(r"\$lambda (\w+) ?: ?\1\[1:\]")


class Prepared(NamedTuple):
    """What is done to an image.

    Attributes:
        normalization: Its values.
        transposed: Whether the network sees the width before the height.
        geometry: What resizes it.
    """

    normalization: Normalization
    transposed: bool
    geometry: tuple[Resize, ...] = ()


class Decision(NamedTuple):
    """How scores become labels.

    Attributes:
        sigmoid: Whether a threshold decides.
        threshold: Above it a label is 1.
        said: Whether the file says it.
    """

    sigmoid: bool
    threshold: float
    said: bool


def target(values: Any) -> str:
    """Return the name of the class that a part of a bundle is, without its package and the d of dictionaries."""
    name = str(values.get(_TARGET, "")) if isinstance(values, dict) else ""
    return name.rsplit(".", 1)[-1]


def without_places(said: Any) -> Any:
    """Return transforms without the arguments of those that change no number: folders, readers and devices."""
    listed = said.get("transforms") if target(said) == "Compose" else said
    if not isinstance(listed, list):
        return said
    kept = [
        {key: one[key] for key in (_TARGET, "_disabled_") if key in one}
        if _name(one) in _HARMLESS | _AFTER or _is_foreground(one)
        else one
        for one in listed
    ]
    return said | {"transforms": kept} if isinstance(said, dict) else kept


def _is_foreground(transform: Any) -> bool:
    """Whether a transform is the usual expression that keeps all classes but the first, which is known and not run."""
    return _name(transform) == _LAMBDA and bool(_FOREGROUND.fullmatch(str(transform.get("func", ""))))


def _name(transform: Any) -> str:
    """Name of a transform without the d of those for dictionaries."""
    return target(transform).removesuffix("Dict").removesuffix("d").removesuffix("D")


def _transforms(said: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of each transform that is not disabled."""
    listed = said.get("transforms") if target(said) == "Compose" else said
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigError(f"{place} is {said!r:.80}, expected a Compose with a list of transforms")
    return [
        (_name(one), {key: value for key, value in one.items() if not key.startswith("_")})
        for one in listed
        if one.get("_disabled_") is not True
    ]


def read_preprocessing(said: Any, channels: int) -> Prepared:
    """Read what is done to an image before the network.

    Args:
        said: The part of the bundle; None: nothing.
        channels: Of the image.

    Raises:
        ConfigError: It is not understood.
        UnsupportedError: A transform is not provided.
    """
    rule = _linear(0.0, 1.0, channels)
    transposed, resizes = True, list[tuple[int, int]]()
    for name, arguments in [] if said is None else _transforms(said, "preprocessing"):
        if name == "Resize" and rule.keys() <= _LINEAR and not resizes:  # a linear rule may come before or after
            resizes.append(_resized(arguments))
        elif name in _SCALES:
            rule = _joined(rule, _SCALES[name](arguments, channels), name)
        elif name == "Transpose" and list(arguments.get("indices", ())) == [0, 2, 1]:
            transposed = not transposed
        else:
            _require_harmless(name)
    if channels == _COLOURS and all(low <= 0 and high >= _WHITE for low, high in rule.get("clip", ())):
        rule.pop("clip", None)  # bytes lie within it
    steps = tuple(_resize(size[::-1] if transposed else size) for size in resizes)
    return Prepared(Normalization.model_validate(rule | {"channel_order": "rgb"}), transposed, steps)


def _joined(first: dict[str, Any], then: dict[str, Any], name: str) -> dict[str, Any]:
    """One rule for two scalings, one after the other.

    Raises:
        UnsupportedError: They are no limits, then the image's own values, then numbers.
    """
    linear = first.keys() <= _LINEAR and min(first["std"]) > 0
    if "statistics" in then and linear and _undoes(then["statistics"][0], first):
        return then
    if "statistics" in then or ("clip" in then and not linear):
        raise UnsupportedError(f"preprocessing has {name} after a scaling that it cannot be joined with")
    rows = list(zip(first["mean"], first["std"], then["mean"], then["std"], strict=True))
    joined = {
        "mean": tuple(mean + next_mean * std for mean, std, next_mean, _ in rows),
        "std": tuple(std * next_std for _, std, _, next_std in rows),
    }
    if "clip" in then:
        limits = zip(first["mean"], first["std"], then["clip"], strict=True)
        joined["clip"] = tuple((mean + low * std, mean + high * std) for mean, std, (low, high) in limits)
    return first | joined


def _require_harmless(name: str) -> None:
    if name not in _HARMLESS:
        known = ", ".join([*sorted(_HARMLESS), *_SCALES, "Transpose to [0, 2, 1]", "one Resize before these"])
        raise UnsupportedError(
            f"preprocessing has {name!r:.60}, which is not provided; known are {known}. Is it for volumes? Only "
            "two-dimensional images can be predicted"
        )


def _undoes(kind: str, linear: dict[str, Any]) -> bool:
    """Whether an image's own values come out the same after a linear rule."""
    if kind.startswith("whole"):
        return len(set(linear["mean"])) == len(set(linear["std"])) == 1
    return not (kind.startswith("nonzero") and any(linear["mean"]))


def _resize(size: tuple[int, ...]) -> Resize:
    return Resize(height=size[0], width=size[1], interpolation="float_bilinear")


def _resized(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """``Resize`` to a size, by MONAI's order of the axes; bilinear alone, which its own default (area) is not."""
    known = {"spatial_size", "size_mode", "mode", "align_corners", "anti_aliasing", "anti_aliasing_sigma"}
    _require_known("Resize", arguments, known)
    size, mode = arguments.get("spatial_size"), arguments.get("mode")
    mode = mode[0] if isinstance(mode, list) and mode else mode
    usual = arguments.get("size_mode", "all") == "all" and not arguments.get("anti_aliasing")
    if mode != "bilinear" or not usual or arguments.get("align_corners") not in (None, False, [None], [False]):
        raise UnsupportedError("Resize with mode bilinear alone is provided, without align_corners and anti_aliasing")
    if not isinstance(size, list) or len(size) != _PLANE or not all(map(_is_side, size)):
        raise UnsupportedError(f"Resize to {size!r:.60} is not provided: expected two whole numbers of pixels")
    return size[0], size[1]


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _number(arguments: Mapping[str, Any], name: str, otherwise: Any = None) -> Any:
    value = arguments.get(name, otherwise)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ConfigError(f"{name} is {value!r:.80}, expected a number")
    return value


def _require_known(name: str, arguments: Mapping[str, Any], known: set[str]) -> None:
    for key in arguments:
        if key not in known | {"keys", "allow_missing_keys", "dtype"}:
            raise ConfigError(f"{name} has an option {key!r:.60} that is not known.{did_you_mean(key, known)}")


def _scale(arguments: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """``ScaleIntensity``: the image's range to another, or a factor."""
    _require_known("ScaleIntensity", arguments, {"minv", "maxv", "factor", "channel_wise"})
    low, high = _number(arguments, "minv", 0.0), _number(arguments, "maxv", 1.0)
    if low is None and high is None:
        return _linear(0.0, 1 / (1 + (_number(arguments, "factor") or 0.0)), channels)
    kind = "range" if arguments.get("channel_wise") else "whole_range"
    low, high = (0.0, 1.0) if low is None or high is None else (low, high)
    if low == high:
        raise ConfigError("ScaleIntensity makes every value the same: minv is maxv")
    width = high - low
    return _linear(0.0 - low / width, 1 / width, channels) | {"statistics": (kind,) * channels}


def _normalize(arguments: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """``NormalizeIntensity``: by given numbers, or the image's own."""
    _require_known("NormalizeIntensity", arguments, {"subtrahend", "divisor", "nonzero", "channel_wise"})
    mean, std = arguments.get("subtrahend"), arguments.get("divisor")
    alone = bool(arguments.get("channel_wise")) or channels == 1
    if arguments.get("nonzero") and not (alone and mean is None and std is None):
        raise UnsupportedError(
            "NormalizeIntensity of what is not zero (nonzero) is provided for each channel (channel_wise), without "
            "subtrahend and divisor"
        )
    if mean is None and std is None:
        kind = "deviation" if alone else "whole_deviation"
        kind = "nonzero_deviation" if arguments.get("nonzero") else kind
        return _linear(0.0, 1.0, channels) | {"statistics": (kind,) * channels}
    if mean is None or std is None:
        raise UnsupportedError("NormalizeIntensity with only one of subtrahend and divisor is not provided")
    each = [list(one) if isinstance(one, (list, tuple)) else [one] * channels for one in (mean, std)]
    return {"mean": tuple(each[0]), "std": tuple(each[1])}


def _scale_range(arguments: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """``ScaleIntensityRange``: a given range to another."""
    _require_known("ScaleIntensityRange", arguments, {"a_min", "a_max", "b_min", "b_max", "clip"})
    low, high = _number(arguments, "a_min"), _number(arguments, "a_max")
    first, last = _number(arguments, "b_min"), _number(arguments, "b_max")
    if low is None or high is None or low == high:
        raise ConfigError("ScaleIntensityRange needs a_min and a_max that differ")
    first, last = (0.0, 1.0) if first is None or last is None else (first, last)
    if first == last:
        raise ConfigError("ScaleIntensityRange makes every value the same: b_min is b_max")
    std = (high - low) / (last - first)
    clip = {"clip": ((min(low, high), max(low, high)),) * channels} if arguments.get("clip") else {}
    return _linear(low - first * std, std, channels) | clip


def _linear(mean: float, std: float, channels: int) -> dict[str, Any]:
    return {"mean": (mean,) * channels, "std": (std,) * channels}


_SCALES: dict[str, Callable[[Mapping[str, Any], int], dict[str, Any]]] = {
    "NormalizeIntensity": _normalize,
    "ScaleIntensity": _scale,
    "ScaleIntensityRange": _scale_range,
}


def read_inferer(said: Any, *, transposed: bool) -> tuple[Slide | None, Padding | None]:
    """Read the windows; None: the whole image at once.

    Args:
        said: The part of the bundle.
        transposed: Whether its numbers have the width before the height.

    Raises:
        ConfigError: It is not understood.
        UnsupportedError: It is another inferer, or does what is not provided.
    """
    name = target(said)
    if said is None or name == "SimpleInferer":
        return None, None
    if name != "SlidingWindowInferer":
        raise UnsupportedError(f"inferer is {name!r:.60}: only SlidingWindowInferer and SimpleInferer are provided")
    for key in said:
        if key not in _INFERER and not key.startswith("_"):
            raise ConfigError(f"inferer has an option {key!r:.60} that is not known.{did_you_mean(key, _INFERER)}")
    if _is_whole(said.get("roi_size")):
        return None, None
    window, steps = _windows(said)
    mode = said.get("mode", "constant")
    sigma = _number(said, "sigma_scale", 0.125)
    if transposed:
        window, steps = window[::-1], steps[::-1]
    slide = Slide(
        crop=(window[0], window[1]),
        stride=(steps[0], steps[1]),
        blend="gaussian" if mode == "gaussian" else "mean",
        sigma=sigma,
    )
    padding = Padding(height=window[0], width=window[1], value=_number(said, "cval", 0.0), center=True)
    return slide, padding


def _is_whole(roi: Any) -> bool:
    """Whether a window is as large as the image: MONAI's sides below 1."""
    sides = roi if isinstance(roi, list) else [roi]
    return len(sides) in (1, _PLANE) and all(isinstance(side, int) and side < 1 for side in sides)


def _windows(said: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Sides of the windows and steps between them, in MONAI's order of the axes."""
    usual = said.get("padding_mode", "constant") == "constant" and not said.get("with_coord")
    if said.get("mode", "constant") not in ("constant", "gaussian") or not usual:
        raise UnsupportedError("inferer: mode constant or gaussian and padding_mode constant are provided")
    roi, share = said.get("roi_size"), said.get("overlap", 0.25)
    window = [roi] * _PLANE if isinstance(roi, int) else roi
    if not isinstance(window, list) or len(window) != _PLANE or not all(isinstance(one, int) for one in window):
        raise UnsupportedError(f"roi_size is {roi!r:.80}, expected two whole numbers: only two dimensions are provided")
    if min(window) < 1:
        raise UnsupportedError(f"roi_size is {roi!r:.80}: windows as long as the image on one side are not provided")
    shares = share if isinstance(share, list) else [share] * _PLANE
    if len(shares) != _PLANE or not all(isinstance(one, (int, float)) and 0 <= one < 1 for one in shares):
        raise ConfigError(f"overlap is {share!r:.80}, expected a number of 0 to below 1")
    return window, [max(1, int(side * (1 - each))) for side, each in zip(window, shares, strict=True)]


def read_postprocessing(said: Any, channels: int) -> Decision:
    """Read how scores become labels.

    Args:
        said: The part of the bundle; None: the greatest score.
        channels: Of the scores.

    Raises:
        UnsupportedError: Labels are decided in a way that is not provided.
    """
    sigmoid, threshold, told, onehot = False, 0.5, False, False  # onehot: two classes, of which one says both
    for name, arguments in [] if said is None else _transforms(said, "postprocessing"):
        if name == "Activations":
            sigmoid = _is_sigmoid(arguments)
        elif name == "AsDiscrete":
            told = True
            _require_argmax(arguments)
            onehot = arguments.get("to_onehot") == channels == 2  # noqa: PLR2004
            threshold = float(_number(arguments, "threshold", 0.5) or 0.5)
        elif name not in _AFTER and not (name == _LAMBDA and onehot):
            raise UnsupportedError(
                f"postprocessing has {name!r:.60}, which is not provided; known are Activations, AsDiscrete, "
                f"{', '.join(sorted(_AFTER))}"
            )
    _require_fitting(channels, sigmoid=sigmoid)
    return Decision(sigmoid, threshold, told)


def _is_sigmoid(arguments: Mapping[str, Any]) -> bool:
    if arguments.get("other"):
        raise UnsupportedError("postprocessing: only the activations softmax and sigmoid are provided")
    return bool(arguments.get("sigmoid"))


def _require_argmax(arguments: Mapping[str, Any]) -> None:
    if arguments.get("rounding") or (arguments.get("to_onehot") and not arguments.get("argmax")):
        raise UnsupportedError("postprocessing: AsDiscrete with rounding or to_onehot alone is not provided")


def _require_fitting(channels: int, *, sigmoid: bool) -> None:
    if sigmoid != (channels == 1):
        raise UnsupportedError(
            f"the network has {channels} channels of scores and {'a' if sigmoid else 'no'} sigmoid: one channel with a "
            "sigmoid, or several with the greatest, are provided"
        )
