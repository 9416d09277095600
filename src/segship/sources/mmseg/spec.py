"""What a config and a checkpoint's meta data say about a network's inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError, UnsupportedError, validation_line
from segship.core.mistakes import ValidationError
from segship.core.spec import ModelSpec, Padding, Slide
from segship.datasets import layout_of_mmseg_type
from segship.sources import IGNORED
from segship.sources.mmseg.augmentation import find_views, plain_pipeline
from segship.sources.mmseg.build import architecture
from segship.sources.mmseg.channels import Channels, Mix, read_channels
from segship.sources.mmseg.classes import FoundClasses, Places, name_classes
from segship.sources.mmseg.known import DATASET, PREPROCESSOR, PREPROCESSOR_TEST, TEST, unknown_options
from segship.sources.mmseg.tested import find_pipeline, locate_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.core.augmentation import Augmentation
    from segship.networks.network import Network
    from segship.sources.mmseg.pipeline import Pipeline

__all__ = ["DEFAULT_THRESHOLD", "IGNORED", "Contract", "build_spec", "data_preprocessor", "model_test_cfg"]

_BINARY = 2
DEFAULT_THRESHOLD = 0.3
"""Of MMSegmentation's binary networks that say none."""
_PLAIN_DATASETS = {"BaseSegDataset", "CustomDataset", "BaseCDDataset"}
_PREPROCESSORS = {"SegDataPreProcessor", "None"}


class Contract(NamedTuple):
    """What a config and a checkpoint say.

    Attributes:
        spec: What the network expects and means.
        notes: What a user should know.
        mix: How the network's channels are made of the image's; None: they are the same.
        classes: The classes, and who names them.
        pipeline: The test pipeline.
        tta: Test-time augmentation.
    """

    spec: ModelSpec
    notes: tuple[str, ...]
    mix: Mix | None
    classes: FoundClasses
    pipeline: Pipeline
    tta: Augmentation


def build_spec(
    values: Mapping[str, Any],
    network: Network,
    meta: Mapping[str, Any],
    *,
    ignore_unknown: bool = False,
    places: Places | None = None,
) -> Contract:
    """Return the ModelSpec of a network.

    Args:
        values: The config.
        network: Built from it.
        meta: Meta data of the checkpoint; may be empty.
        ignore_unknown: Note options that MMSegmentation does not have instead of refusing them.
        places: What the files are called in what is said of them.

    Returns:
        The spec, and what else is to be known.

    Raises:
        ConfigError: The config contradicts itself.
        UnsupportedError: Its test pipeline changes pixels in a way that is not provided.
    """
    transforms, note = find_pipeline(values)
    notes: list[str] = [note]
    if transforms is None:
        transforms = []
        notes.append("The config has no test pipeline: images go to the network at their own size")
    new = bool(data_preprocessor(values))
    pipeline, chosen = plain_pipeline(transforms, new=new)
    notes += [*chosen, *_unknown(values, pipeline, ignore=ignore_unknown)]
    channels, padding = _preprocessing(values, pipeline)
    key, dataset = locate_dataset(values)
    binary = network.out_channels == 1
    classes = name_classes(_BINARY if binary else network.num_classes, meta, dataset, places, binary=binary)
    notes += [*channels.notes, *classes.notes, _label_suffix(dataset), *_unread(key, dataset)]
    fields: dict[str, Any] = {
        "source": "mmseg",
        "architecture": architecture(values["model"]),
        "classes": classes.names,
        "palette": classes.palette,
        "geometry": tuple(pipeline.geometry),
        "normalization": channels.normalization,
        "pixels": channels.pixels,
        "padding": padding,
        "slide": _slide(values),
        "align_corners": network.align_corners,
        "output": "sigmoid" if binary else "softmax",
        "reduce_zero_label": _reduces_zero(pipeline, dataset, meta),
    }
    if binary:
        fields["threshold"] = DEFAULT_THRESHOLD if network.threshold is None else network.threshold
    try:
        spec = ModelSpec(**fields)
    except ValidationError as error:
        raise ConfigError(f"the config cannot be used: {validation_line(error)}") from None
    tta, told = find_views(values, transforms, spec, new=new)
    return Contract(spec, tuple(filter(None, [*notes, *told])), channels.mix, classes, pipeline, tta)


def _label_suffix(dataset: Mapping[str, Any]) -> str:
    """A note where the names of label maps end as no other data set's do."""
    suffix, layout = dataset.get("seg_map_suffix"), layout_of_mmseg_type(_type(dataset))
    usual = ".png" if layout is None else layout.label_suffix
    if not isinstance(suffix, str) or suffix == usual:
        return ""
    images = dataset.get("img_suffix")
    option = f"--image-suffix {images:.60} " if isinstance(images, str) and not images.startswith(".") else ""
    return (
        f"The names of the config's label maps end in {suffix!r:.60} (seg_map_suffix): evaluate finds them with "
        f"{option}--label-suffix {suffix:.60}"
    )


def _unread(key: str, dataset: Mapping[str, Any]) -> list[str]:
    """Notes of options that a data set of MMSegmentation's does not have; those of a user's own class are not known."""
    own = layout_of_mmseg_type(_type(dataset)) is None and _type(dataset) not in _PLAIN_DATASETS
    return [] if own else unknown_options(dataset, DATASET, key)


def _type(dataset: Mapping[str, Any]) -> str:
    return str(dataset.get("type")).rpartition(".")[2]


def _unknown(values: Mapping[str, Any], pipeline: Pipeline, *, ignore: bool) -> list[str]:
    """Options that nobody reads, as notes.

    Raises:
        ConfigError: There are some, and they are not to be ignored.
    """
    preprocessor, test = data_preprocessor(values), model_test_cfg(values)
    unknown = list(pipeline.unknown)
    if isinstance(preprocessor, dict):
        unknown += unknown_options(preprocessor, PREPROCESSOR, "data_preprocessor")
        if isinstance(at_test := preprocessor.get("test_cfg"), dict):
            unknown += unknown_options(at_test, PREPROCESSOR_TEST, "data_preprocessor.test_cfg")
    if isinstance(test, dict):
        unknown += unknown_options(test, TEST, "model.test_cfg")
    if unknown and not ignore:
        raise ConfigError(
            f"{' '.join(unknown)} Mend or remove it; --ignore-unknown (ignore_unknown=True) passes over it"
        )
    return [f"{IGNORED}{sentence}" for sentence in unknown]


def data_preprocessor(values: Mapping[str, Any]) -> Any:
    """Return the config's data preprocessor, as it stands there; empty where there is none."""
    return values["model"].get("data_preprocessor") or values.get("data_preprocessor") or {}


def model_test_cfg(values: Mapping[str, Any]) -> Any:
    """Return the model's ``test_cfg``; the oldest configs have it beside the model, where 1.x has its test loop."""
    beside = values.get("test_cfg")
    loop = isinstance(beside, dict) and "type" in beside
    return values["model"].get("test_cfg") or (None if loop else beside)


def _preprocessing(values: Mapping[str, Any], pipeline: Pipeline) -> tuple[Channels, Padding | None]:
    """What the data preprocessor of 1.x does, or the pipeline of 0.x did."""
    cfg = data_preprocessor(values)
    if not isinstance(cfg, dict) or str(cfg.get("type")).rpartition(".")[2] not in _PREPROCESSORS:
        named = cfg.get("type") if isinstance(cfg, dict) else cfg
        raise UnsupportedError(f"the data preprocessor {named!r:.80} is not provided: SegDataPreProcessor is")
    backbone, padding = values["model"].get("backbone"), _padding(cfg)
    channels = read_channels(cfg, pipeline, backbone.get("in_channels") if isinstance(backbone, dict) else None)
    if pipeline.padding is not None and padding is not None:
        raise UnsupportedError("both the test pipeline and the data preprocessor pad, which is not provided")
    padding = padding or pipeline.padding
    if pipeline.grey is not None and padding is not None:
        raise UnsupportedError("padding of a normalised image together with RGB2Gray is not provided")
    return channels, padding


def _padding(cfg: Mapping[str, Any]) -> Padding | None:
    """Only ``test_cfg`` pads at test time; ``size`` and ``size_divisor`` beside it are for training."""
    test = cfg.get("test_cfg")
    if not test:
        return None
    if not isinstance(test, dict):
        raise ConfigError(f"data_preprocessor.test_cfg is {test!r:.80}: expected size=(h, w) or size_divisor")
    size, divisor = test.get("size"), test.get("size_divisor")
    value = cfg.get("pad_val", 0)
    try:
        if (size is None) == (divisor is None):
            raise ConfigError("data_preprocessor.test_cfg takes either size or size_divisor")
        if size is None:
            return Padding(multiple_of=divisor, value=value)
        height, width = size
        return Padding(height=height, width=width, value=value)
    except (ValidationError, TypeError, ValueError):
        raise ConfigError(f"data_preprocessor.test_cfg is {test!r:.80}: expected size=(h, w) or size_divisor") from None


def _slide(values: Mapping[str, Any]) -> Slide | None:
    cfg = model_test_cfg(values)
    if not isinstance(cfg, dict):
        return None
    mode = cfg.get("mode", "whole")
    if mode == "whole":
        return None
    if mode != "slide":
        raise UnsupportedError(f"test_cfg.mode {mode!r} is not provided: whole and slide are")
    try:
        slide = Slide.model_validate({"crop": cfg.get("crop_size"), "stride": cfg.get("stride")})
    except ValidationError:
        raise ConfigError(
            f"test_cfg is {cfg!r:.120}: expected crop_size=(h, w) and stride=(h, w) of positive whole numbers"
        ) from None
    if any(stride > crop for stride, crop in zip(slide.stride, slide.crop, strict=True)):
        raise ConfigError(
            f"test_cfg has windows of {slide.crop} every {slide.stride} pixels, which leaves gaps between them: "
            "the stride must not be larger than crop_size"
        )
    return slide


def _reduces_zero(pipeline: Pipeline, dataset: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    noted = meta.get("dataset_meta")
    layout = layout_of_mmseg_type(_type(dataset))
    known = (
        dataset.get("reduce_zero_label"),
        pipeline.reduce_zero_label,
        noted.get("reduce_zero_label") if isinstance(noted, dict) else None,
        layout.reduce_zero_label if layout else None,
    )
    return bool(next((value for value in known if value is not None), False))
