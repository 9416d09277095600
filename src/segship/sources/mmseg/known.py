"""The options that a config's transforms, data preprocessor and ``test_cfg`` have, in MMSegmentation 0.x, 1.x and mmcv.

What decides how a network sees an image must not be passed over in silence: an option that is in none of these lists is
an error. Options that change nothing at inference are known by name, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DATASET", "PREPROCESSOR", "PREPROCESSOR_TEST", "TEST", "TRANSFORMS", "Known", "unknown_options"]


class Known(NamedTuple):
    """The options of one unit.

    Attributes:
        options: Their names.
        changes: What an option of such a unit changes, to end a sentence with.
        old: Those that only 0.x has.
    """

    options: frozenset[str]
    changes: str
    old: frozenset[str] = frozenset()


def _known(options: str, changes: str, *, old: str = "") -> Known:
    return Known(frozenset(f"{options} {old}".split()), changes, frozenset(old.split()))


_PACKED = "what of an image is handed on"
_LOADING = "to_float32 color_type imdecode_backend file_client_args backend_args ignore_empty"
_SIZE = "the size of what the network sees"
_COLOURS = "the numbers that the network sees"

TRANSFORMS: Mapping[str, Known] = {
    "Collect": _known("keys meta_keys", _PACKED),
    "DefaultFormatBundle": _known("", _PACKED),
    "GenerateEdge": _known("edge_width ignore_index", _PACKED),
    "ImageToTensor": _known("keys", _PACKED),
    "LoadAnnotations": _known(
        "reduce_zero_label imdecode_backend file_client_args backend_args with_bbox with_label with_seg with_keypoints "
        "with_mask",
        "which label maps the figures are of",
    ),
    "LoadDepthAnnotation": _known("decode_backend to_float32 depth_rescale_factor backend_args", _PACKED),
    "LoadImageFromFile": _known(_LOADING, _COLOURS),
    "LoadImageFromNDArray": _known(_LOADING, _COLOURS),
    "LoadSingleRSImageFromFile": _known("to_float32", _COLOURS),
    "MultiScaleFlipAug": _known(
        "transforms flip_direction scales scale_factor allow_flip resize_cfg flip_cfg",
        _SIZE,
        old="img_scale img_ratios flip",
    ),
    "Normalize": _known("mean std to_rgb", _COLOURS),
    "PackSegInputs": _known("meta_keys", _PACKED),
    "Pad": _known("size size_divisor pad_to_square pad_val seg_pad_val padding_mode", _SIZE),
    "RGB2Gray": _known("out_channels weights", _COLOURS),
    "RandomFlip": _known("prob direction swap_seg_labels", "whether images are turned round", old="flip_ratio"),
    "Resize": _known(
        "scale scale_factor keep_ratio clip_object_border backend interpolation",
        _SIZE,
        old="img_scale multiscale_mode ratio_range min_size",
    ),
    "ResizeShortestEdge": _known("scale max_size", _SIZE),
    "ResizeToMultiple": _known("size_divisor interpolation", _SIZE),
    "ToTensor": _known("keys", _PACKED),
}
"""Of each transform that is read."""

PREPROCESSOR = _known(
    "mean std size size_divisor pad_val seg_pad_val bgr_to_rgb rgb_to_bgr batch_augments test_cfg", _COLOURS
)
"""Of SegDataPreProcessor."""

PREPROCESSOR_TEST = _known("size size_divisor", _SIZE)
"""Of its ``test_cfg``."""

TEST = _known(
    "mode crop_size stride subdivision_steps subdivision_num_points scale_factor panoptic_on semantic_on instance_on "
    "max_per_image iou_thr filter_low_score object_mask_thr overlap_thr",
    "whether, and in which windows, an image is cut up",
)
"""Of a model's ``test_cfg``: those of the heads among them."""

DATASET = _known(
    "ann_file img_suffix img_suffix2 seg_map_suffix depth_map_suffix metainfo data_root data_prefix filter_cfg indices "
    "serialize_data pipeline test_mode lazy_init max_refetch ignore_index reduce_zero_label backend_args used_labels "
    "specific_key_path pre_transform img_dir ann_dir split classes palette gt_seg_map_loader_cfg file_client_args "
    "samples_per_gpu workers_per_gpu",
    "which labels the figures are of",
)
"""Of MMSegmentation's own data sets, in 0.x and 1.x."""


def unknown_options(cfg: Mapping[str, Any], known: Known, where: str, *, new: bool = False) -> list[str]:
    """Return a sentence for each option of ``cfg`` that is not known.

    Args:
        cfg: The unit, with its type.
        known: Its options.
        where: What it is called in a config: ``"test_pipeline: Resize"``.
        new: Whether the config is of 1.x, where options of 0.x are unknown.
    """
    options = known.options - known.old if new else known.options
    strange = [key for key in cfg if key not in options and key not in {"type", "_scope_"}]
    return [
        f"{where} has no option {key!r:.80}{' in 1.x, only in 0.x' if key in known.old else ''}, which would change "
        f"{known.changes}.{did_you_mean(str(key), sorted(options))}"
        for key in strange
    ]
