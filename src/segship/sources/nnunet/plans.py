"""What ``plans.json`` and ``dataset.json`` of nnU-Net say, read as data: one configuration, its layers, its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.networks.bounds import MAXIMUM_NUMBER, number_beyond
from segship.sources.nnunet.network import Layers, Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Plan", "Scheme", "read_plan"]

_PLAIN, _RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
_READER = "NaturalImage2DIO"
_PLANS = frozenset(
    {
        "configurations", "dataset_name", "experiment_planner_used", "foreground_intensity_properties_by_modality",
        "foreground_intensity_properties_per_channel", "image_reader_writer", "label_manager",
        "original_median_shape_after_transp", "original_median_spacing_after_transp", "plans_name",
        "transpose_backward", "transpose_forward",
    }
)  # fmt: skip
_CONFIGURATION = frozenset(
    {
        "UNet_base_num_features", "UNet_class_name", "architecture", "batch_dice", "batch_size", "conv_kernel_sizes",
        "data_identifier", "inherits_from", "median_image_size_in_voxels", "n_conv_per_stage_decoder",
        "n_conv_per_stage_encoder", "next_stage", "normalization_schemes", "num_pool_per_axis", "patch_size",
        "pool_op_kernel_sizes", "preprocessor_name", "previous_stage", "resampling_fn_data",
        "resampling_fn_data_kwargs", "resampling_fn_probabilities", "resampling_fn_probabilities_kwargs",
        "resampling_fn_seg", "resampling_fn_seg_kwargs", "spacing", "unet_max_num_features", "use_mask_for_norm",
    }
)  # fmt: skip
_ARGUMENTS = frozenset(
    {
        "block", "bottleneck_channels", "conv_bias", "conv_op", "deep_supervision", "dropout_op", "dropout_op_kwargs",
        "features_per_stage", "kernel_sizes", "n_blocks_per_stage", "n_conv_per_stage", "n_conv_per_stage_decoder",
        "n_stages", "nonlin", "nonlin_first", "nonlin_kwargs", "norm_op", "norm_op_kwargs", "stem_channels", "strides",
    }
)  # fmt: skip
_NORMS: dict[str, type[nn.Module]] = {"BatchNorm2d": nn.BatchNorm2d, "InstanceNorm2d": nn.InstanceNorm2d}
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    name: getattr(nn, name) for name in ("ELU", "GELU", "LeakyReLU", "Mish", "PReLU", "ReLU", "SELU", "SiLU")
}
_MOST_STAGES = 16
_LONGEST = 127  # side of a kernel, and stride
_PLANE = 2


class Scheme(NamedTuple):
    """How one channel is normalised, as `segship.core.spec.Normalization` says it.

    Attributes:
        mean, std: Of all images.
        clip: Least and greatest value.
        statistics: What of the image itself it is scaled by.
    """

    mean: float = 0.0
    std: float = 1.0
    clip: tuple[float, float] | None = None
    statistics: str = "none"


class Plan(NamedTuple):
    """One configuration of a plan.

    Attributes:
        name: Of the configuration.
        architecture: Name of the network's class.
        channels: Of the image.
        classes: Name of each class.
        stages, layers: Of the network.
        patch: (height, width) of the windows.
        schemes: How each channel is normalised.
    """

    name: str
    architecture: str
    channels: int
    classes: tuple[str, ...]
    stages: Stages
    layers: Layers
    patch: tuple[int, int]
    schemes: tuple[Scheme, ...]


def read_plan(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], name: str, *, unknown: Callable[[str], None]
) -> Plan:
    """Read one configuration.

    Args:
        plans: Content of ``plans.json``.
        dataset: Content of ``dataset.json``.
        name: Of the configuration.
        unknown: Told a sentence for each option that nnU-Net does not have.

    Raises:
        ConfigError: Something is missing or absurd.
        UnsupportedError: The configuration is three-dimensional, or does what is not provided.
    """
    if number_beyond(dict(plans)) is not None:
        raise ConfigError(f"plans.json holds a number beyond {MAXIMUM_NUMBER}: no real plan does")
    _require_known(plans, _PLANS, "plans.json", unknown)
    own = _configuration(plans, name)
    _require_known(own, _CONFIGURATION, f"configuration {name}", unknown)
    patch = _numbers(own, "patch_size", name)
    if len(patch) != _PLANE:
        raise UnsupportedError(
            f"configuration {name} is three-dimensional (patch_size {list(patch)}): only nnU-Net's two-dimensional "
            "configurations (2d) can be exported"
        )
    _require_provided(plans, own, name)
    architecture, arguments = _architecture(own, name)
    _require_known(arguments, _ARGUMENTS, f"architecture of {name}", unknown)
    channels = len(_mapping(dataset, "channel_names" if "channel_names" in dataset else "modality", "dataset.json"))
    return Plan(
        name=name,
        architecture=architecture,
        channels=channels,
        classes=_classes(dataset),
        stages=_stages(architecture, arguments, name),
        layers=_layers(architecture, arguments),
        patch=(patch[0], patch[1]),
        schemes=_schemes(plans, own, channels),
    )


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options of a configuration over those that it inherits."""
    known = _mapping(plans, "configurations", "plans.json")
    found: dict[str, Any] = {}
    seen: set[str] = set()
    while name and name not in seen:
        if not isinstance(known.get(name), dict):
            names = ", ".join(map(str, known))
            raise ConfigError(
                f"plans.json has no configuration {name!r:.80}, it has {names}.{did_you_mean(name, known)}"
            )
        found, seen = known[name] | found, seen | {name}
        name = str(known[name].get("inherits_from") or "")
    return found


def _require_known(
    values: Mapping[str, Any], known: frozenset[str], place: str, unknown: Callable[[str], None]
) -> None:
    for key in values:
        if key not in known:
            unknown(f"{place} has an option {key!r:.80} that nnU-Net 2 does not have.{did_you_mean(str(key), known)}")


def _mapping(values: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    found = values.get(key)
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{place} says no {key}")
    return found


def _numbers(values: Mapping[str, Any], key: str, place: str) -> tuple[int, ...]:
    found = values.get(key)
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, int) and one > 0 for one in found) or not found:
        raise ConfigError(f"{key} of {place} is {found!r:.80}, expected positive whole numbers")
    return tuple(found)


def _require_provided(plans: Mapping[str, Any], own: Mapping[str, Any], name: str) -> None:
    """Refuse what would change a mask and is not provided."""
    reader, spacing = plans.get("image_reader_writer", _READER), own.get("spacing", [1.0, 1.0])
    if reader != _READER:
        raise UnsupportedError(
            f"the data set was read by {reader!r:.80}, which reads volumes and their spacing: only images of {_READER} "
            f"(PNG, BMP, TIFF) can be predicted; where slices are given as such images, --cfg-options "
            f"image_reader_writer={_READER}"
        )
    if not isinstance(spacing, (list, tuple)) or any(side != 1 for side in spacing):
        raise UnsupportedError(
            f"configuration {name} resamples images to a spacing of {spacing!r:.80}, and image files say none"
        )
    if plans.get("transpose_forward", [0, 1, 2]) not in ([0, 1, 2], (0, 1, 2)):
        raise UnsupportedError(f"transpose_forward is {plans['transpose_forward']!r:.80}: only [0, 1, 2] is provided")
    for key, usual in (("preprocessor_name", "DefaultPreprocessor"),):
        if own.get(key, usual) != usual:
            raise UnsupportedError(f"{key} of {name} is {own[key]!r:.80}: only {usual} is provided")
    if plans.get("label_manager", "LabelManager") != "LabelManager":
        raise UnsupportedError(f"label_manager is {plans['label_manager']!r:.80}: only LabelManager is provided")
    if own.get("previous_stage"):
        raise UnsupportedError(f"configuration {name} is the second stage of a cascade, which is not provided")


def _architecture(own: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """Name of the network's class and its arguments, in the words of today's plans."""
    if "architecture" in own:
        said = _mapping(own, "architecture", name)
        found, arguments = str(said.get("network_class_name")).split(".")[-1], said.get("arch_kwargs")
    else:
        found, arguments = str(own.get("UNet_class_name")), _of_old(own)
    if found not in {_PLAIN, _RESIDUAL} or not isinstance(arguments, dict):
        raise UnsupportedError(
            f"configuration {name} has the network {found!r:.80}: {_PLAIN} and {_RESIDUAL} are known"
        )
    return found, arguments


def _of_old(own: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that plans of nnU-Net 2.0 to 2.2 leave to the code."""
    strides = own.get("pool_op_kernel_sizes") or []
    if not isinstance(strides, (list, tuple)):
        raise ConfigError(f"pool_op_kernel_sizes are {strides!r:.80}, expected a pair for each stage")
    width, most = _width(own, "UNet_base_num_features", 32), _width(own, "unet_max_num_features", 512)
    depths = "n_conv_per_stage" if own.get("UNet_class_name") == _PLAIN else "n_blocks_per_stage"
    return {
        "n_stages": len(strides),
        "features_per_stage": [min(width * 2**place, most) for place in range(min(len(strides), _MOST_STAGES))],
        "kernel_sizes": own.get("conv_kernel_sizes"),
        "strides": strides,
        depths: own.get("n_conv_per_stage_encoder"),
        "n_conv_per_stage_decoder": own.get("n_conv_per_stage_decoder"),
        "conv_op": "Conv2d",
        "conv_bias": True,
        "norm_op": "InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
    }


def _width(own: Mapping[str, Any], key: str, usual: int) -> int:
    (found,) = _numbers({key: [own.get(key, usual)]}, key, "the configuration")
    return found


def _stages(architecture: str, arguments: Mapping[str, Any], name: str) -> Stages:
    count = arguments.get("n_stages")
    if not isinstance(count, int) or not 1 < count <= _MOST_STAGES:
        raise ConfigError(f"n_stages of {name} is {count!r:.80}, expected 2 to {_MOST_STAGES}")
    residual = architecture == _RESIDUAL
    inner = arguments.get("bottleneck_channels")
    if str(arguments.get("block", "BasicBlockD")).split(".")[-1] == "BasicBlockD":
        inner = None
    depths = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return Stages(
        widths=_each(arguments, "features_per_stage", count),
        kernels=_pairs(arguments, "kernel_sizes", count),
        strides=_pairs(arguments, "strides", count),
        depths=_each(arguments, depths, count),
        up=_each(arguments, "n_conv_per_stage_decoder", count - 1),
        residual=residual,
        bottlenecks=None if inner is None else _each(arguments, "bottleneck_channels", count),
        stem=_stem(arguments),
    )


def _stem(arguments: Mapping[str, Any]) -> int | None:
    said = arguments.get("stem_channels")
    return None if said is None else _width(arguments, "stem_channels", 0)


def _each(arguments: Mapping[str, Any], key: str, count: int) -> tuple[int, ...]:
    """A number for each stage."""
    value = arguments.get(key)
    found = _numbers({key: [value] * count if isinstance(value, int) else value}, key, "the architecture")
    if len(found) != count:
        raise ConfigError(f"{key} has {len(found)} numbers, expected {count}")
    return found


def _pairs(arguments: Mapping[str, Any], key: str, count: int) -> tuple[tuple[int, int], ...]:
    """(height, width) for each stage."""
    value = arguments.get(key)
    listed = [value] * count if isinstance(value, int) else value
    if not isinstance(listed, (list, tuple)) or len(listed) != count:
        raise ConfigError(f"{key} is {value!r:.80}, expected {count} pairs")
    pairs = [_numbers({key: [one, one] if isinstance(one, int) else one}, key, "the architecture") for one in listed]
    if any(side > _LONGEST for pair in pairs for side in pair):
        raise ConfigError(f"{key} is {value!r:.80}, expected numbers up to {_LONGEST}")
    if any(len(pair) != _PLANE for pair in pairs):
        raise UnsupportedError(f"{key} is of three dimensions: only two-dimensional networks can be exported")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _layers(architecture: str, arguments: Mapping[str, Any]) -> Layers:
    if (conv := str(arguments.get("conv_op")).split(".")[-1]) != "Conv2d":
        raise UnsupportedError(f"the network's convolutions are {conv}: only two-dimensional networks can be exported")
    norm = _layer(arguments, "norm_op", _NORMS)
    activation = _layer(arguments, "nonlin", _ACTIVATIONS)
    return Layers(
        bias=_boolean(arguments, "conv_bias"),
        norm=norm,
        activation=activation,
        dropout=arguments.get("dropout_op") is not None,
        activation_first=_boolean(arguments, "nonlin_first") and architecture == _PLAIN,
    )


def _boolean(arguments: Mapping[str, Any], key: str) -> bool:
    if not isinstance(said := arguments.get(key) or False, bool):
        raise ConfigError(f"{key} is {said!r:.80}, expected true or false")
    return said


def _layer(
    arguments: Mapping[str, Any], key: str, known: dict[str, type[nn.Module]]
) -> Callable[..., nn.Module] | None:
    said = arguments.get(key)
    if said is None:
        return None
    name, given = str(said).split(".")[-1], arguments.get(f"{key}_kwargs") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{key}_kwargs is {given!r:.80}, expected names and values")
    if name not in known:
        raise UnsupportedError(f"{key} is {name!r:.80}, known are {', '.join(known)}")
    given = {option: value for option, value in given.items() if option != "inplace"}  # a captured graph would lose it

    def make(*widths: int) -> nn.Module:
        try:
            return known[name](*widths, **given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key}_kwargs do not fit {name}: {error}") from None

    return make


def _classes(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Names by label, without the label that is ignored."""
    labels = {name: value for name, value in _mapping(dataset, "labels", "dataset.json").items() if name != "ignore"}
    if any(isinstance(value, (list, tuple)) and len(value) > 1 for value in labels.values()):
        raise UnsupportedError(
            "dataset.json has regions, labels of several values that overlap (regions_class_order): only labels that "
            "exclude each other can be exported"
        )
    try:
        numbers = {int(value[0] if isinstance(value, list) else value): str(name) for name, value in labels.items()}
    except (TypeError, ValueError, IndexError, OverflowError):
        raise ConfigError(f"labels of dataset.json are {labels!r:.80}, expected a whole number for each name") from None
    if sorted(numbers) != list(range(len(labels))):
        raise ConfigError(f"labels of dataset.json are {sorted(numbers)!r:.80}, expected 0, 1, 2 and so on")
    return tuple(numbers[label] for label in range(len(numbers)))


def _schemes(plans: Mapping[str, Any], own: Mapping[str, Any], channels: int) -> tuple[Scheme, ...]:
    names, masks = own.get("normalization_schemes"), own.get("use_mask_for_norm") or [False] * channels
    if not isinstance(names, (list, tuple)) or len(names) != channels or not isinstance(masks, list):
        raise ConfigError(f"normalization_schemes are {names!r:.80}, expected one for each of {channels} channels")
    kept = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality"
    )
    kept = kept or {}
    if not isinstance(kept, dict):
        raise ConfigError(f"foreground intensities of plans.json are {kept!r:.80}, expected those of each channel")
    if len(masks) != channels or not all(isinstance(mask, bool) for mask in masks):
        raise ConfigError(f"use_mask_for_norm is {masks!r:.80}, expected true or false for each of {channels} channels")
    return tuple(_scheme(str(name), kept.get(str(place), {}), masks[place]) for place, name in enumerate(names))


def _scheme(name: str, kept: Mapping[str, Any], masked: bool) -> Scheme:
    if name == "CTNormalization":
        try:
            low, high = float(kept["percentile_00_5"]), float(kept["percentile_99_5"])
            return Scheme(float(kept["mean"]), max(float(kept["std"]), 1e-8), (low, high))
        except (KeyError, TypeError, ValueError):
            raise ConfigError("CTNormalization needs mean, std and percentiles of each channel in plans.json") from None
    simple = {
        "NoNormalization": Scheme(),
        "RGBTo01Normalization": Scheme(std=255.0),
        "RescaleTo01Normalization": Scheme(statistics="range"),
        "ZScoreNormalization": Scheme(statistics="inside_deviation" if masked else "deviation"),
    }
    if name not in simple:
        raise UnsupportedError(
            f"normalisation {name!r:.80} is not known, known are CTNormalization, {', '.join(simple)}"
        )
    return simple[name]
