"""What a processor's config says of images: sizes, filters, means, the order of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean, one_line
from segship.core.provenance import assumed, default, read
from segship.core.spec import Normalization, Pad, Resize, ResizeEdges, ResizeNear, ResizeWithin, Slide
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.sources.huggingface.folder import quiet
from segship.sources.huggingface.torchvision_processors import PROCESSORS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.provenance import Reading
    from segship.core.spec import GeometryStep, Interpolation

__all__ = ["BACKENDS", "PROCESSOR_CONFIGS", "Processor", "load_processor", "preprocessing"]

_CONFIG = "preprocessor_config.json"
_NEW_CONFIG = "processor_config.json"  # transformers 5 saves the image processor in it, under the second name
_NEW_KEY = "image_processor"
BACKENDS = ("pil", "torchvision")
"""Names of what resizes images, as ``AutoImageProcessor.from_pretrained(backend=…)`` has them."""
PROCESSOR_CONFIGS = (_CONFIG, _NEW_CONFIG)
"""Names of the files that say how images are prepared; the first that is there and speaks of images counts."""
# Names of before transformers 4.26, in today's words; the library itself takes some of them for bare attributes.
_RENAMED = {
    "pad_and_return_pixel_mask": "do_pad",
    "reduce_labels": "do_reduce_labels",
    "size_divisibility": "size_divisor",
}
# What published configs hold besides: of training, of other tasks, or notes of the library that changes nothing here.
_UNREAD = frozenset({
    "_processor_class",
    "_valid_processor_keys",
    "crop_pct",
    "do_random_crop",
    "id2label",
    "image_scale",
    "keypoint_heatmap_downscale_factor",
    "keypoint_heatmap_sigma",
    "max_text_len",
    "metadata",
    "patch_size",
    "random_flip_prob",
    "task_seq_length",
    "transformers_version",
})  # fmt: skip
_FILTERS: Mapping[int, Interpolation] = {2: "pillow_bilinear", 3: "pillow_bicubic"}
_TORCHVISION: Mapping[int, Interpolation] = {2: "torchvision_bilinear", 3: "torchvision_bicubic"}
_DEFAULTS = {
    "segformer": "SegformerImageProcessor",
    "upernet": "SegformerImageProcessor",
    "beit": "BeitImageProcessor",
    "data2vec-vision": "BeitImageProcessor",
    "dpt": "DPTImageProcessor",
    "mobilevit": "MobileViTImageProcessor",
    "mobilenet_v2": "MobileNetV2ImageProcessor",
    "maskformer": "MaskFormerImageProcessor",
    "mask2former": "Mask2FormerImageProcessor",
    "oneformer": "OneFormerImageProcessor",
    "mobilevitv2": "MobileViTImageProcessor",
    "sapiens2": "Sapiens2ImageProcessor",
    "tipsv2_dpt": "Tipsv2DptImageProcessor",
    "eomt": "EomtImageProcessor",
    "eomt_dinov3": "EomtImageProcessor",
    "detr": "DetrImageProcessor",
}
_PHOTOGRAPHS = (1, 3)  # channels of a grey image and one in colour; others are bands as they are stored
_MASKS = ("MaskFormer", "Mask2Former")
_LONGEST = "max_size"  # before transformers 4.27, of the long edge
_SPLIT = "do_split_image"
_SIDES = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")


class Processor(NamedTuple):
    """An image processor and what was found on the way to it.

    Attributes:
        processor: The library's object.
        notes: Notes for the user, to which may be added.
        ignored: Sentences on the options that were passed over.
        file: Name of the file that speaks of images, or None.
        told: Names of its options that this file, or the user, tells.
        torchvision: Whether images are resized as torchvision does it, and not as Pillow does.
    """

    processor: Any
    notes: list[str]
    ignored: tuple[str, ...]
    file: str | None
    told: frozenset[str]
    torchvision: bool

    def reading(self, *names: str) -> Reading:
        """Return the place of the first of the options ``names`` that is told; else the library's default."""
        if self.file is None:
            return assumed(f"there is no {_CONFIG} and no {_NEW_CONFIG} of images")
        for name in names:
            if name in self.told:
                return read(f"{self.file}: {name}")
        return default(f"{type(self.processor).__name__} does so")


def load_processor(
    folder: Path,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    backend: str = BACKENDS[0],
    ignore_unknown: bool = False,
) -> Processor:
    """Return the image processor of ``folder``, with the library's defaults for what its config leaves out.

    Args:
        folder: With ``preprocessor_config.json``, or ``processor_config.json`` as transformers 5 writes it; without
            either, the usual processor of the network is taken.
        config: The network's ``config.json``.
        options: Laid over the processor's config.
        backend: One of `BACKENDS`. Processors that the library has for torchvision alone are so either way.
        ignore_unknown: Note options that the processor does not have instead of refusing them.

    Raises:
        ConfigError: The library does not take the config, or it has options that the processor does not have.
    """
    import transformers

    notes = []
    usual = _DEFAULTS.get(str(config.get("model_type")), "SegformerImageProcessor")
    file, values = _read_config(folder)
    if file is None:
        notes.append(
            f"There is no {_CONFIG} and no {_NEW_CONFIG} of images: they are prepared as {usual} does by default"
        )
    values = _renamed(merge_options(values, options), file or folder)
    kinds = [values.pop(key, None) for key in ("image_processor_type", "feature_extractor_type")]
    named = str(next(filter(None, kinds), usual))
    name = named.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor").removesuffix("Pil")
    if name not in _DEFAULTS.values():
        raise UnsupportedError(
            f"{file or _CONFIG} names {named!r:.80}, which is not provided: "
            f"{', '.join(sorted(set(_DEFAULTS.values())))} are"
        )
    for key in ("class_info_file", "repo_path", "auto_map", "processor_class"):  # files and code from elsewhere
        values.pop(key, None)
    kind = PROCESSORS.get(name) or getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    ignored = _unknown(values, kind, file or folder, ignore=ignore_unknown)
    notes += [f"Ignored, as you asked for: {sentence}" for sentence in ignored]
    with quiet():
        try:
            processor = kind.from_dict(values)
        except Exception as error:
            raise ConfigError(f"{file or folder} is refused by {name}: {one_line(error, joined=True)}") from error
    torchvision = backend == BACKENDS[1] or name in PROCESSORS
    return Processor(processor, notes, ignored, file.name if file else None, frozenset(values), torchvision)


def _read_config(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The file that says how images are prepared, and what it says: the newer file first, as in the library."""
    if (folder / _NEW_CONFIG).is_file():
        values = read_mapping(folder / _NEW_CONFIG).get(_NEW_KEY)
        if isinstance(values, dict):
            return folder / _NEW_CONFIG, values
    if (folder / _CONFIG).is_file():
        return folder / _CONFIG, read_mapping(folder / _CONFIG)
    return None, {}


def _renamed(values: dict[str, Any], file: Path) -> dict[str, Any]:
    """``values`` by the names of today.

    Raises:
        ConfigError: An option is there by both names, with two values.
    """
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        name = _RENAMED.get(key, key)
        if renamed.setdefault(name, value) != value:
            old = next(before for before, after in _RENAMED.items() if after == name)
            raise ConfigError(f"{file}: {old} and {name} are one option, but have two values: keep {name} alone")
    return renamed


def _unknown(values: dict[str, Any], kind: Any, file: Path, *, ignore: bool) -> tuple[str, ...]:
    """A sentence for each option that the processor ``kind`` does not have; they are taken out of ``values``.

    Raises:
        ConfigError: There are some, and they are not to be ignored.
    """
    known = kind.valid_kwargs.__required_keys__ | kind.valid_kwargs.__optional_keys__
    reads = kind.__name__.startswith((*_MASKS, "Detr"))
    known |= {_LONGEST} if reads else set()
    for key in (_UNREAD if reads else _UNREAD | {_LONGEST}) & values.keys():
        del values[key]
    strange = [key for key in values if key not in known]
    sentences = [f"{kind.__name__} has no option {key!r:.80}.{did_you_mean(key, sorted(known))}" for key in strange]
    if strange and not ignore:
        raise ConfigError(
            f"{file}: {' '.join(sentences)} It may change what the network sees: mend or remove it; --ignore-unknown "
            "(ignore_unknown=True) passes over it"
        )
    for key in strange:
        del values[key]
    return tuple(sentences)


def preprocessing(found: Processor, channels: int) -> dict[str, Any]:
    """Return what a ModelSpec says of images; what to know is added to the notes.

    Args:
        found: The library's object, and the notes for the user.
        channels: Of the images that the network takes.

    Raises:
        UnsupportedError: The processor does something that is not provided.
    """
    processor, notes = found.processor, found.notes
    geometry: tuple[GeometryStep, ...] = (
        (_resize(processor, found.torchvision),) if _says(processor, "do_resize") else ()
    )
    slide = None
    if _says(processor, "do_center_crop"):
        notes.append(
            "The processor cuts out the middle of images, so that its mask would not fit them: the whole image is "
            "seen instead, resized by the same rule"
        )
    if type(processor).__name__.startswith("Eomt"):
        slide = _windows(processor)
        geometry += _padding(processor)
    return {
        "geometry": geometry,
        "normalization": _normalization(processor, channels),
        "pixels": "uint8" if channels in _PHOTOGRAPHS else "multispectral",
        "slide": slide,
    }


def _windows(processor: Any) -> Slide | None:
    """EoMT's windows: squares along the longer side, as few as cover it, at equal distances."""
    if not _says(processor, _SPLIT):
        return None
    size = _mapping(processor, "size")
    edge, long = size.get("shortest_edge"), size.get("longest_edge")
    if edge is None or long not in {None, edge} or not _says(processor, "do_resize") or _says(processor, "do_pad"):
        raise UnsupportedError(
            f"the processor splits images ({_SPLIT}) of the size {size}: transformers merges the parts again only "
            "where shortest_edge stands alone, images are resized to it (do_resize) and not padded (do_pad)"
        )
    return Slide(crop=(edge, edge), stride=(edge, edge), spread=True)


def _padding(processor: Any) -> tuple[Pad, ...]:
    """EoMT's margin of black at the bottom and right, over which its mask is stretched as the library does."""
    if not _says(processor, "do_pad"):
        return ()
    size = _mapping(processor, "size")
    height = size["shortest_edge"]
    return (Pad(height=height, width=size.get("longest_edge") or height),)


def _resize(processor: Any, torchvision: bool) -> GeometryStep:
    size = _mapping(processor, "size")
    interpolation = _filter(getattr(processor, "resample", 2), torchvision)
    short, height, width = size.get("shortest_edge"), size.get("height"), size.get("width")
    multiple = _multiple(processor)
    if height and width and _says(processor, "keep_aspect_ratio"):
        return ResizeNear(width=width, height=height, multiple_of=multiple, interpolation=interpolation)
    if height and width:
        height, width = (_rounded(side, multiple, processor) for side in (height, width))
        return Resize(width=width, height=height, interpolation=interpolation)
    if short:
        return ResizeEdges(
            short=short, long=size.get("longest_edge"), multiple_of=multiple, interpolation=interpolation
        )
    if (rows := size.get("max_height")) and (columns := size.get("max_width")):
        return ResizeWithin(width=columns, height=rows, multiple_of=multiple, interpolation=interpolation)
    raise UnsupportedError(
        f"the processor's size is {one_line(processor.size)}: height and width, shortest_edge (and longest_edge), or "
        "max_height and max_width are provided"
    )


def _multiple(processor: Any) -> int:
    """Of which the sides become multiples: upwards for networks of masks, to the nearest for DPT."""
    masks = type(processor).__name__.startswith(_MASKS)
    return int(getattr(processor, "size_divisor" if masks else "ensure_multiple_of", None) or 1)


def _rounded(side: int, multiple: int, processor: Any) -> int:
    if type(processor).__name__.startswith(_MASKS):
        return -(-side // multiple) * multiple
    return round(side / multiple) * multiple


def _filter(resample: Any, torchvision: bool) -> Interpolation:
    number = int(resample) if isinstance(resample, int) else 2
    if number not in _FILTERS:
        raise UnsupportedError(
            f"the processor resizes with Pillow's filter {number}: bilinear (2) and bicubic (3) are provided"
        )
    return _TORCHVISION[number] if torchvision else _FILTERS[number]


def _normalization(processor: Any, channels: int) -> Normalization:
    """``(x * factor - mean) / std``, for pixels of 0-255."""
    factor = float(processor.rescale_factor) if _says(processor, "do_rescale") else 1.0
    mean, std = (0.0,) * channels, (1.0,) * channels
    if _says(processor, "do_normalize") and not type(processor).__name__.startswith("MobileViT"):
        mean, std = (_each_channel(processor, name, channels) for name in ("image_mean", "image_std"))
    return Normalization(
        channel_order="bgr" if _says(processor, "do_flip_channel_order") else "rgb",
        mean=tuple(value / factor for value in mean),
        std=tuple(value / factor for value in std),
    )


def _each_channel(processor: Any, name: str, channels: int) -> tuple[float, ...]:
    """An option that is one number for each channel, or one for all."""
    value = getattr(processor, name)
    numbers = tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),) * channels
    if len(numbers) != channels:
        raise ConfigError(
            f"the processor's {name} has {len(numbers)} numbers, but the network takes images of {channels} channels: "
            f"--cfg-options processor.{name}=[…] names one for each"
        )
    return numbers


def _says(processor: Any, name: str) -> bool:
    return bool(getattr(processor, name, None))


def _mapping(processor: Any, name: str) -> dict[str, Any]:
    value = getattr(processor, name, None) or {}
    sides = {key: value[key] for key in _SIDES if _has(value, key)}
    for key, side in sides.items():
        if not isinstance(side, int) or side < 1:
            raise ConfigError(f"the processor's {name} says {key} {side!r:.40}, expected a whole number of pixels")
    return sides


def _has(value: Any, key: str) -> bool:
    try:
        return value[key] is not None
    except (KeyError, TypeError):
        return False
