"""What a processor's config says of images: sizes, filters, means, the order of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Normalization, Resize, ResizeEdges, ResizeNear
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.sources.huggingface.folder import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.spec import GeometryStep, Interpolation

__all__ = ["default_size", "load_processor", "preprocessing"]

_CONFIG = "preprocessor_config.json"
_FILTERS: Mapping[int, Interpolation] = {2: "pillow_bilinear", 3: "pillow_bicubic"}
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
}
_PROBE = (768, 1024)  # an image of the commonest shape, where a processor makes no single size
_MASKS = ("MaskFormer", "Mask2Former")


def load_processor(folder: Path, config: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The image processor of ``folder``, with the library's defaults for what its config leaves out, and notes.

    Args:
        folder: With ``preprocessor_config.json``; without, the usual processor of the network is taken.
        config: The network's ``config.json``.
        options: Laid over the processor's config.

    Raises:
        ConfigError: The library does not take the config.
    """
    import transformers

    notes = []
    usual = _DEFAULTS.get(str(config.get("model_type")), "SegformerImageProcessor")
    values: dict[str, Any] = {}
    if (folder / _CONFIG).is_file():
        values = read_mapping(folder / _CONFIG)
    else:
        notes.append(f"There is no {_CONFIG}: images are prepared as {usual} does by default")
    values = merge_options(values, options)
    named = str(values.pop("image_processor_type", None) or values.pop("feature_extractor_type", None) or usual)
    name = named.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor").removesuffix("Pil")
    if name not in _DEFAULTS.values():
        raise UnsupportedError(
            f"{_CONFIG} names {named!r:.80}, which is not provided: {', '.join(sorted(set(_DEFAULTS.values())))} are"
        )
    for key in ("class_info_file", "repo_path", "auto_map", "processor_class"):  # files and code from elsewhere
        values.pop(key, None)
    kind = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    with quiet():
        try:
            return kind.from_dict(values), notes
        except Exception as error:
            raise ConfigError(
                f"{folder / _CONFIG} is refused by {name}: {' '.join(str(error).split())[:300]}"
            ) from error


def preprocessing(processor: Any, notes: list[str]) -> dict[str, Any]:
    """``geometry`` and ``normalization`` of a ModelSpec; what a user should know is added to ``notes``.

    Raises:
        UnsupportedError: The processor does something that is not provided.
    """
    geometry = (_resize(processor),) if _says(processor, "do_resize") else ()
    if _says(processor, "do_center_crop"):
        notes.append(
            "The processor cuts out the middle of images, so that its mask would not fit them: the whole image is "
            "seen instead, resized by the same rule"
        )
    if _says(processor, "do_pad") and type(processor).__name__.startswith("DPT") and _says(processor, "size_divisor"):
        raise UnsupportedError("the processor pads images on all sides (do_pad), which is not provided")
    return {"geometry": geometry, "normalization": _normalization(processor)}


def default_size(processor: Any, config: Any) -> tuple[int, int]:
    """(height, width) that the network sees of an image of the commonest shape."""
    crop = _mapping(processor, "crop_size") if _says(processor, "do_center_crop") else {}
    if crop.get("height") and crop.get("width"):
        return crop["height"], crop["width"]
    if _says(processor, "do_resize"):
        return _resize(processor).plan(*_PROBE).size
    size = getattr(config, "image_size", None) or 512
    sides = size if isinstance(size, (list, tuple)) else (size, size)
    return sides[0], sides[-1]


def _resize(processor: Any) -> GeometryStep:
    size = _mapping(processor, "size")
    interpolation = _filter(getattr(processor, "resample", 2))
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
    raise UnsupportedError(
        f"the processor's size is {size}: height and width, or shortest_edge (and longest_edge) are provided"
    )


def _multiple(processor: Any) -> int:
    """Of which the sides become multiples: upwards for networks of masks, to the nearest for DPT."""
    masks = type(processor).__name__.startswith(_MASKS)
    return int(getattr(processor, "size_divisor" if masks else "ensure_multiple_of", None) or 1)


def _rounded(side: int, multiple: int, processor: Any) -> int:
    if type(processor).__name__.startswith(_MASKS):
        return -(-side // multiple) * multiple
    return round(side / multiple) * multiple


def _filter(resample: Any) -> Interpolation:
    number = int(resample) if isinstance(resample, int) else 2
    if number not in _FILTERS:
        raise UnsupportedError(
            f"the processor resizes with Pillow's filter {number}: bilinear (2) and bicubic (3) are provided"
        )
    return _FILTERS[number]


def _normalization(processor: Any) -> Normalization:
    """``(x * factor - mean) / std``, for pixels of 0-255."""
    factor = float(processor.rescale_factor) if _says(processor, "do_rescale") else 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if _says(processor, "do_normalize") and not type(processor).__name__.startswith("MobileViT"):
        mean, std = tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
    return Normalization(
        channel_order="bgr" if _says(processor, "do_flip_channel_order") else "rgb",
        mean=tuple(value / factor for value in mean),
        std=tuple(value / factor for value in std),
    )


def _says(processor: Any, name: str) -> bool:
    return bool(getattr(processor, name, None))


def _mapping(processor: Any, name: str) -> dict[str, Any]:
    value = getattr(processor, name, None) or {}
    return {key: value[key] for key in ("height", "width", "shortest_edge", "longest_edge") if _has(value, key)}


def _has(value: Any, key: str) -> bool:
    try:
        return value[key] is not None
    except (KeyError, TypeError):
        return False
