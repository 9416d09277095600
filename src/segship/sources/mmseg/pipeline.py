"""The test pipeline of a config: what happens to an image's pixels before the network sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from segship.core.augmentation import Flip, ResizeByFactor, View
from segship.core.errors import ConfigError, UnsupportedError, validated
from segship.core.spec import Normalization, Pad, Padding, Resize, ResizeShortestEdge, ResizeToMultiple
from segship.sources.mmseg.known import TRANSFORMS, unknown_options
from segship.sources.mmseg.loading import PHOTOGRAPH, VOLUMES, read_loading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segship.core.spec import GeometryStep, Interpolation

__all__ = [
    "NEW_AUGMENTATION",
    "Grey",
    "Pipeline",
    "normalization",
    "read_pipeline",
]

_NO_EFFECT = frozenset({
    "Collect",
    "DefaultFormatBundle",
    "GenerateEdge",
    "ImageToTensor",
    "LoadDepthAnnotation",
    "PackSegInputs",
    "ToTensor",
})  # fmt: skip
NEW_AUGMENTATION = frozenset({"scales", "scale_factor", "allow_flip", "resize_cfg", "flip_cfg"})
"""Options of ``MultiScaleFlipAug`` that only mmcv 2 has."""
_OLD_AUGMENTATION = frozenset({"img_scale", "img_ratios", "flip"})
_OLD_PACKING = frozenset({"Collect", "DefaultFormatBundle"})
_ANY_LENGTH = 2**24
_ONE_SCALE = "test-time augmentation is not provided: give MultiScaleFlipAug one scale, no flip"
_LUMINANCE = (0.299, 0.587, 0.114)


class Grey(NamedTuple):
    """The transform RGB2Gray.

    Attributes:
        weights: Share of each loaded channel, in the order they are loaded in.
        channels: How often the weighted mean is repeated; None: as often as there are weights.
    """

    weights: tuple[float, ...]
    channels: int | None


class Pipeline:
    """What the transforms of a test pipeline amount to.

    Args:
        old: Whether the pipeline is of 0.x.
        new: Whether the config is of 1.x, where options of 0.x are unknown.
        augmented: Whether it is one view of an augmentation, which may flip, and resize by a factor.

    Attributes:
        geometry: Steps on the image before it is normalised.
        factor: A resize by a factor before them, or None.
        flipped: Direction of the flip, or None.
        normalization: Of the transform Normalize (0.x); None where the pipeline has none.
        padding: Of the normalised image (0.x).
        reduce_zero_label: What the loading of label maps says, or None.
        loading: How images are loaded.
        grey: How channels are mixed to a grey image, or None.
        unknown: A sentence for each option that no transform of MMSegmentation has.
    """

    def __init__(self, *, old: bool = False, new: bool = False, augmented: bool = False) -> None:
        self.geometry: list[GeometryStep] = []
        self.factor: ResizeByFactor | None = None
        self.flipped: Flip | None = None
        self.normalization: Normalization | None = None
        self.padding: Padding | None = None
        self.reduce_zero_label: bool | None = None
        self.loading = PHOTOGRAPH
        self.grey: Grey | None = None
        self.unknown: list[str] = []
        self._old, self._new, self._view = old, new, augmented
        self._augmented = False  # within MultiScaleFlipAug of 0.x
        self._scale: tuple[int, int] | None = None  # (width, height) that MultiScaleFlipAug gives to its Resize
        self._ratio = 1.0  # that it gives to its Resize where it has no scale
        self._turn: Any = None  # direction that it gives to its RandomFlip
        self._flipped_at = 0  # how many steps come before the flip

    def add(self, transform: Any) -> None:
        """Take in one transform.

        Raises:
            ConfigError: It is malformed.
            UnsupportedError: It changes pixels in a way that is not provided.
        """
        if not isinstance(transform, dict) or "type" not in transform:
            raise ConfigError(f"the test pipeline holds {transform!r:.80}, expected a dictionary with a type")
        name = str(transform["type"]).rpartition(".")[2]
        if name in VOLUMES:
            raise UnsupportedError(
                f"the test pipeline has the transform {name!r}, which loads volumes (NIfTI, .npy): networks of images "
                "are provided; cut volumes into images and load them with LoadImageFromFile"
            )
        step = _STEPS.get(name)
        if step is None and name not in _NO_EFFECT:
            raise UnsupportedError(
                f"the test pipeline has the transform {name!r:.80}, which is not provided: known are "
                f"{', '.join(_STEPS)}; take it out of test_pipeline if it changes no pixels"
            )
        unknown = unknown_options(transform, TRANSFORMS[name], f"test_pipeline: {name}", new=self._new)
        self.unknown += unknown
        if step is None:
            return
        try:
            step(self, transform)
        except (ConfigError, UnsupportedError) as error:  # what is missing may stand under a name that is not known
            raise type(error)(" ".join((*unknown, str(error)))) from None

    def load_image(self, cfg: dict[str, Any]) -> None:
        """Take in how the file is read."""
        self.loading = read_loading(str(cfg["type"]).rpartition(".")[2], cfg)

    def to_grey(self, cfg: dict[str, Any]) -> None:
        """Take in RGB2Gray, whose weights are of the channels as they are loaded: of a photograph blue first."""
        if self.grey is not None or self.normalization is not None:
            raise UnsupportedError("RGB2Gray after Normalize or after itself is not provided")
        channels = cfg.get("out_channels")
        self.grey = Grey(
            _numbers(cfg.get("weights", _LUMINANCE), "RGB2Gray.weights"),
            None if channels is None else _whole(channels, "RGB2Gray.out_channels"),
        )

    @property
    def _interpolation(self) -> Interpolation:
        """How a resize interpolates: pixels that are float already, as a grey mean is, are not rounded again."""
        fractions = self.loading.kind != "stored" and (self.loading.fractions or self.grey is not None)
        return "float_bilinear" if fractions else "bilinear"

    def _require_bytes(self, name: str) -> None:
        if self._interpolation != "bilinear":
            raise UnsupportedError(
                f"{name} of an image of float32 (to_float32, RGB2Gray before it) is not provided: Resize is"
            )

    def load_labels(self, cfg: dict[str, Any]) -> None:
        """Take in what is said of label 0."""
        if cfg.get("reduce_zero_label") is not None:
            self.reduce_zero_label = bool(cfg["reduce_zero_label"])

    def resize(self, cfg: dict[str, Any]) -> None:
        """Take in Resize, of mmcv 2 or of mmseg 0.x."""
        _require_plain_resize(cfg)
        scale = cfg.get("scale", cfg.get("img_scale"))
        if scale is None and cfg.get("scale_factor") is not None:
            self._resize_by(cfg["scale_factor"], keep_ratio=bool(cfg.get("keep_ratio", self._old)), rounding="nearest")
            return
        if scale is None and self._augmented:
            if self._scale is None:
                self._resize_by(self._ratio, keep_ratio=bool(cfg.get("keep_ratio", self._old)), rounding="down")
                return
            scale = self._scale
        if isinstance(scale, list) and len(scale) == 1:
            scale = scale[0]
        if scale is None:
            raise ConfigError("Resize has neither scale nor scale_factor: give it a scale, as in scale=(1024, 512)")
        width, height = _pair(scale, "Resize.scale")
        keep_ratio = bool(cfg.get("keep_ratio", self._old))
        if keep_ratio and cfg.get("min_size") is not None:
            self._require_bytes("Resize with min_size")
            size = max(min(width, height), _whole(cfg["min_size"], "Resize.min_size"))
            self.geometry.append(ResizeShortestEdge(size=size, max_size=_ANY_LENGTH))
        else:
            step = Resize(width=width, height=height, keep_ratio=keep_ratio, interpolation=self._interpolation)
            self.geometry.append(step)

    def _resize_by(self, factor: Any, *, keep_ratio: bool, rounding: Literal["nearest", "down"]) -> None:
        """Take in a resize to a multiple of the image's own size, which is known of views alone."""
        if isinstance(factor, (list, tuple)) and len(set(factor)) == 1:
            factor = factor[0]
        if factor == 1:
            return
        if not self._view:
            raise UnsupportedError("Resize(scale_factor=…) in the test pipeline is not provided: give a scale")
        if self.geometry or self.factor is not None or self._interpolation != "bilinear":
            raise UnsupportedError("Resize(scale_factor=…) after other steps, or of float32, is not provided")
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            raise ConfigError(f"Resize.scale_factor is {factor!r:.80}, expected a number")
        with validated("Resize.scale_factor", ConfigError):
            self.factor = ResizeByFactor(factor=factor, keep_ratio=keep_ratio, rounding=rounding)

    def resize_shortest_edge(self, cfg: dict[str, Any]) -> None:
        """Take in ResizeShortestEdge of mmseg 1.x."""
        self._require_bytes("ResizeShortestEdge")
        size = min(_pair(cfg.get("scale"), "ResizeShortestEdge.scale"))
        limit = cfg.get("max_size")
        maximum = _ANY_LENGTH if limit is None else _whole(limit, "ResizeShortestEdge.max_size")
        self.geometry.append(ResizeShortestEdge(size=size, max_size=maximum))

    def resize_to_multiple(self, cfg: dict[str, Any]) -> None:
        """Take in ResizeToMultiple of mmseg."""
        if cfg.get("interpolation") not in {None, "bilinear"}:
            raise UnsupportedError("ResizeToMultiple in the test pipeline: only bilinear interpolation is provided")
        self._require_bytes("ResizeToMultiple")
        divisor = _whole(cfg.get("size_divisor", 32), "ResizeToMultiple.size_divisor")
        self.geometry.append(ResizeToMultiple(multiple_of=divisor))

    def pad(self, cfg: dict[str, Any]) -> None:
        """Take in Pad: before normalisation a step on the image, after it (0.x) a step on the network's input.

        In 1.x nothing cuts the margin off again: the logits, margin included, are resized to the image's size. In 0.x
        it is cut off.
        """
        if cfg.get("pad_to_square") or cfg.get("padding_mode", "constant") != "constant":
            raise UnsupportedError("Pad in the test pipeline: only size and size_divisor are provided, with a constant")
        target = self._padded_size(cfg)
        value = cfg.get("pad_val", 0)
        values = _numbers(value.get("img", 0) if isinstance(value, dict) else value, "Pad.pad_val")
        if self.grey is not None and any(values):
            raise UnsupportedError("Pad after RGB2Gray in the test pipeline is provided with a pad_val of 0 alone")
        if self.normalization is None:
            self.geometry.append(Pad.model_validate({**target, "value": values, "crop": self._old}))
        elif self._old and len(set(values)) == 1 and self.padding is None:
            self.padding = Padding.model_validate({**target, "value": values[0]})
        else:
            raise UnsupportedError("this Pad after Normalize in the test pipeline is not provided")

    def _padded_size(self, cfg: dict[str, Any]) -> dict[str, int]:
        if cfg.get("size_divisor") is not None:
            return {"multiple_of": _whole(cfg["size_divisor"], "Pad.size_divisor")}
        first, second = _pair(cfg.get("size"), "Pad.size")
        return {"height": first, "width": second} if self._old else {"height": second, "width": first}

    def normalize(self, cfg: dict[str, Any]) -> None:
        """Take in Normalize of 0.x; in 1.x the data preprocessor normalises."""
        if self.normalization is not None:
            raise UnsupportedError("the test pipeline normalises twice, which is not provided")
        self.normalization = normalization(cfg.get("mean"), cfg.get("std"), rgb=bool(cfg.get("to_rgb", True)))

    def flip(self, cfg: dict[str, Any]) -> None:
        """Take in RandomFlip, which must not flip at random."""
        if self._augmented:
            if self._turn is not None:
                self._flip_to(self._turn)
            return
        chance = cfg.get("prob") or cfg.get("flip_ratio")
        if chance and self._view and chance == 1:
            self._flip_to(cfg.get("direction", "horizontal"))
        elif chance:
            raise UnsupportedError("the test pipeline flips images at random: take RandomFlip out of test_pipeline")

    def _flip_to(self, direction: Any) -> None:
        if isinstance(direction, (list, tuple)) and len(direction) == 1:
            direction = direction[0]
        if direction not in get_args(Flip):
            raise UnsupportedError(f"a flip is horizontal or vertical, not {direction!r:.80}")
        if self.flipped is not None or any(step.cuts_margin for step in self.geometry):
            raise UnsupportedError("a second flip, or one after Pad in 0.x, is not provided")
        self.flipped, self._flipped_at = direction, len(self.geometry)

    def view(self) -> View:
        """Return the pipeline as one view of an augmentation.

        Raises:
            ConfigError: It has too many steps.
        """
        after = 0 if self.flipped is None else len(self.geometry) - self._flipped_at
        with validated("test-time augmentation", ConfigError):
            return View(geometry=tuple(self.geometry), factor=self.factor, flip=self.flipped, flip_before=after)

    def multi_scale_flip(self, cfg: dict[str, Any]) -> None:
        """Take in MultiScaleFlipAug, of mmcv 2 or of mmseg 0.x, which must have one scale and not flip."""
        new = sorted(NEW_AUGMENTATION & cfg.keys())
        old = sorted(_OLD_AUGMENTATION & cfg.keys())
        if new and old:
            raise ConfigError(f"MultiScaleFlipAug has {new[0]}, which is of mmcv 2, and {old[0]}, which is of 0.x")
        if new:
            self._new_multi_scale_flip(cfg)
        else:
            self._old_multi_scale_flip(cfg)
        for transform in cfg.get("transforms", []):
            self.add(transform)

    def _new_multi_scale_flip(self, cfg: dict[str, Any]) -> None:
        """Mmcv 2's resizes to each scale by itself, before its transforms."""
        scales, factors = _several(cfg.get("scales")), _several(cfg.get("scale_factor"))
        flips = cfg.get("allow_flip")
        if (flips and not self._view) or max(len(scales), len(factors)) > 1:
            raise UnsupportedError(_ONE_SCALE)
        if cfg.get("scales") is None:
            size = {"scale_factor": 1.0 if cfg.get("scale_factor") is None else factors[0]}
        else:
            size = {"scale": scales[0]}
        self.add({"type": "Resize", "keep_ratio": True, **(cfg.get("resize_cfg") or {}), **size})
        if flips:
            self._flip_to(cfg.get("flip_direction", "horizontal"))

    def _old_multi_scale_flip(self, cfg: dict[str, Any]) -> None:
        """0.x's tells its Resize the scale."""
        ratios, scales = [1.0], _several(cfg.get("img_scale"))
        if (given := cfg.get("img_ratios")) is not None:
            ratios = list(given) if isinstance(given, tuple) else _several(given)
        flips = cfg.get("flip")
        if (flips and not self._view) or max(len(scales), len(ratios)) > 1:
            raise UnsupportedError(_ONE_SCALE)
        if scales[0] is None and ratios != [1.0] and not self._view:
            raise UnsupportedError("MultiScaleFlipAug with img_ratios alone is not provided: give it an img_scale")
        if scales[0] is not None:
            width, height = _pair(scales[0], "MultiScaleFlipAug.img_scale")
            self._scale = int(width * ratios[0]), int(height * ratios[0])
        self._ratio, self._augmented = ratios[0], True
        self._turn = cfg.get("flip_direction", "horizontal") if flips else None


_STEPS: Mapping[str, Callable[[Pipeline, dict[str, Any]], None]] = {
    "LoadAnnotations": Pipeline.load_labels,
    "LoadImageFromFile": Pipeline.load_image,
    "LoadImageFromNDArray": Pipeline.load_image,
    "LoadSingleRSImageFromFile": Pipeline.load_image,
    "MultiScaleFlipAug": Pipeline.multi_scale_flip,
    "Normalize": Pipeline.normalize,
    "Pad": Pipeline.pad,
    "RGB2Gray": Pipeline.to_grey,
    "RandomFlip": Pipeline.flip,
    "Resize": Pipeline.resize,
    "ResizeShortestEdge": Pipeline.resize_shortest_edge,
    "ResizeToMultiple": Pipeline.resize_to_multiple,
}


def read_pipeline(transforms: Any, *, new: bool = False, augmented: bool = False) -> Pipeline:
    """Return what ``transforms`` amount to.

    Args:
        transforms: The list in a config.
        new: Whether the config is of 1.x, as one with a data preprocessor is.
        augmented: Whether they are one view of an augmentation.

    Raises:
        ConfigError: They are no list of transforms.
        UnsupportedError: One of them changes pixels in a way that is not provided.
    """
    if not isinstance(transforms, (list, tuple)):
        raise ConfigError(f"the test pipeline is a {type(transforms).__name__}, expected a list of transforms")
    pipeline = Pipeline(old=any(map(_is_old, transforms)), new=new, augmented=augmented)
    for transform in transforms:
        pipeline.add(transform)
    return pipeline


def _is_old(transform: Any) -> bool:
    """Whether a transform is as 0.x has it."""
    if not isinstance(transform, dict):
        return False
    name = str(transform.get("type")).rpartition(".")[2]
    if name == "MultiScaleFlipAug" and not NEW_AUGMENTATION & transform.keys():
        return True
    options = TRANSFORMS[name].old & transform.keys() if name in TRANSFORMS else frozenset()
    return name in _OLD_PACKING or bool(options)


def normalization(mean: Any, std: Any, *, rgb: bool, channels: int = 3) -> Normalization:
    """Return ``(x - mean) / std``; without a mean, of ``channels`` channels as they are.

    Raises:
        ConfigError: They are no numbers, or not as many of one as of the other.
    """
    order: Literal["rgb", "bgr"] = "rgb" if rgb else "bgr"
    if mean is None:
        return Normalization(channel_order=order, mean=(0.0,) * channels, std=(1.0,) * channels)
    means, stds = _numbers(mean, "mean"), _numbers(std, "std")
    if len(means) != len(stds) or not all(stds):
        raise ConfigError(f"mean is {mean} and std is {std}: expected as many numbers in each, no zero in std")
    return Normalization(channel_order=order, mean=means, std=stds)


def _require_plain_resize(cfg: Mapping[str, Any]) -> None:
    if cfg.get("ratio_range") is not None:
        raise UnsupportedError("Resize with a ratio_range draws its size at random: give it a scale")
    if cfg.get("interpolation", "bilinear") != "bilinear" or cfg.get("backend", "cv2") != "cv2":
        raise UnsupportedError("Resize in the test pipeline: only bilinear interpolation by cv2 is provided")


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _numbers(value: Any, what: str) -> tuple[float, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items or not all(isinstance(item, (int, float)) for item in items):
        raise ConfigError(f"{what} is {value!r:.80}, expected numbers")
    return tuple(map(float, items))


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _ANY_LENGTH:
        raise ConfigError(f"{what} is {value!r:.80}, expected a positive whole number")
    return value


def _pair(value: Any, what: str) -> tuple[int, int]:
    items = value if isinstance(value, (list, tuple)) else (value, value)
    if len(items) != 2:  # noqa: PLR2004
        raise ConfigError(f"{what} is {value!r:.80}, expected two numbers")
    return _whole(items[0], what), _whole(items[1], what)
