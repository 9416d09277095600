"""What nobody reads is an error: a config's options either have MMSegmentation's meaning or are refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Resize
from segship.reading.configs.config import read_config
from segship.sources.mmseg.pipeline import read_pipeline
from segship.sources.mmseg.spec import build_spec, data_preprocessor
from segship.sources.mmseg.tested import find_pipeline

LOAD, RESIZE, PACK = {"type": "LoadImageFromFile"}, {"type": "Resize", "scale": (64, 32)}, {"type": "PackSegInputs"}
PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": [0, 0, 0], "std": [1, 1, 1]}


class Network:
    num_classes = out_channels = 4
    align_corners = False
    threshold = None


def config(*transforms: dict[str, Any], test_cfg: Any = None, **preprocessor: Any) -> dict[str, Any]:
    model = {
        "type": "EncoderDecoder",
        "backbone": {"type": "CGNet"},
        "decode_head": {"type": "FCNHead"},
        "data_preprocessor": PREPROCESSOR | preprocessor,
        "test_cfg": {"mode": "whole"} if test_cfg is None else test_cfg,
    }
    return {"model": model, "test_pipeline": list(transforms) or [LOAD, RESIZE, PACK]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (config(LOAD, RESIZE | {"keepratio": True}, PACK), ["test_pipeline: Resize", "'keepratio'", "'keep_ratio'"]),
        (config(LOAD, {"type": "Resize", "size": (32, 64), "scale": (64, 32)}, PACK), ["'size'", "size of what"]),
        (config({"type": "ResizeShortestEdge", "scale": 32, "maxsize": 64}), ["'maxsize'", "'max_size'"]),
        (config({"type": "ResizeToMultiple", "divisor": 32}), ["'divisor'", "'size_divisor'"]),
        (config({"type": "Normalize", "mean": [0], "std": [1], "torgb": False}), ["'torgb'", "'to_rgb'"]),
        (config({"type": "Pad", "size": (64, 64), "value": 1}), ["Pad has no option 'value'"]),
        (config(LOAD | {"colour_type": "grayscale"}), ["'colour_type'", "'color_type'"]),
        (config({"type": "LoadAnnotations", "reduce_zero": True}), ["'reduce_zero'", "'reduce_zero_label'"]),
        (config({"type": "RandomFlip", "p": 0.5}), ["RandomFlip has no option 'p'"]),
        (config({"type": "MultiScaleFlipAug", "scale": (64, 32), "transforms": []}), ["'scale'", "'scales'"]),
        (config(LOAD, {"type": "Resize", "img_scale": (64, 32)}), ["'img_scale' in 1.x, only in 0.x", "'scale'"]),
        (config(LOAD, RESIZE, {"type": "PackSegInputs", "meta_key": ()}), ["'meta_key'", "'meta_keys'"]),
        (config(LOAD, {"type": "RGB2Gray", "out_channel": 1}), ["'out_channel'", "'out_channels'"]),
        (config(to_rgb=True), ["data_preprocessor has no option 'to_rgb'", "'bgr_to_rgb'"]),
        (config(test_cfg={"mod": "slide"}), ["model.test_cfg", "'mod'", "'mode'"]),
        (config(test_cfg={"mode": "whole", "flip": True}), ["model.test_cfg", "'flip'"]),
        ({**config(test_cfg={}), "test_cfg": {"mode": "whole", "crop": 3}}, ["'crop'"]),
    ],
)
def test_an_option_that_no_version_has_is_an_error_that_names_it(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_spec(values, Network(), {})  # type: ignore[arg-type]
    for word in [*words, "--ignore-unknown"]:
        assert word in str(caught.value)


def test_what_is_missing_is_told_beside_the_name_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match=r"Pad has no option 'size_divisors', .* 'size_divisor'\? Pad.size is None"):
        build_spec(config(LOAD, RESIZE, {"type": "Pad", "size_divisors": 32}, PACK), Network(), {})  # type: ignore[arg-type]


def test_all_of_them_are_named_at_once_and_noted_where_they_are_to_be_ignored() -> None:
    values = config(LOAD, RESIZE | {"keepratio": True}, PACK, to_rgb=True)
    with pytest.raises(ConfigError, match=r"keepratio.*to_rgb"):
        build_spec(values, Network(), {})  # type: ignore[arg-type]
    _, notes, *_ = build_spec(values, Network(), {}, ignore_unknown=True)  # type: ignore[arg-type]
    ignored = [note for note in notes if note.startswith("Ignored, as you asked for")]
    assert len(ignored) == 2
    assert "'keepratio'" in ignored[0]


def test_an_option_that_a_data_set_does_not_have_is_told() -> None:
    def notes(**dataset: Any) -> str:
        values = config() | {"test_dataloader": {"dataset": dataset}}
        return " ".join(build_spec(values, Network(), {})[1])  # type: ignore[arg-type]

    told = "test_dataloader.dataset has no option 'reduce_zero_lable', .* 'reduce_zero_label'\\?"
    assert re.search(told, notes(type="CityscapesDataset", reduce_zero_lable=True))
    assert "has no option" not in notes(type="mmseg.CityscapesDataset", reduce_zero_label=True, data_root="x")
    assert "has no option" not in notes(type="DatasetOfAUser", folds=3)


def test_the_multi_scale_flip_of_mmcv_2_resizes_as_it_says() -> None:
    augmented = {"type": "MultiScaleFlipAug", "scales": (64, 32), "allow_flip": False, "transforms": [PACK]}
    assert read_pipeline([augmented]).geometry == [Resize(width=64, height=32, keep_ratio=True)]
    stretched = augmented | {"resize_cfg": {"type": "Resize", "keep_ratio": False}}
    assert read_pipeline([stretched]).geometry == [Resize(width=64, height=32, keep_ratio=False)]
    own_size = {"type": "MultiScaleFlipAug", "scale_factor": 1.0, "transforms": [PACK]}
    assert read_pipeline([own_size]).geometry == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scales": (64, 32), "allow_flip": True}, "test-time augmentation"),
        ({"scales": [(64, 32), (128, 64)]}, "test-time augmentation"),
        ({"scale_factor": [0.5, 1.0]}, "test-time augmentation"),
        ({"scale_factor": 0.5}, "scale_factor"),
        ({"scales": (64, 32), "flip": False}, "mmcv 2"),
    ],
)
def test_other_multi_scale_flips_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises((ConfigError, UnsupportedError), match=reason):
        read_pipeline([{"type": "MultiScaleFlipAug", "transforms": [PACK], **options}])


def test_a_resize_without_a_size_is_told_so() -> None:
    inner = {"type": "MultiScaleFlipAug", "scales": (64, 32), "transforms": [{"type": "Resize", "keep_ratio": True}]}
    for steps in ([LOAD, {"type": "Resize", "size": (4, 4)}, PACK], [LOAD, {"type": "Resize"}, PACK], [inner]):
        with pytest.raises(ConfigError, match=r"Resize has (neither scale nor scale_factor|no option 'size')"):
            read_pipeline(steps)


def test_a_random_size_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="ratio_range"):
        read_pipeline([LOAD, RESIZE | {"ratio_range": (0.5, 2.0)}, PACK])


def test_windows_with_gaps_between_them_are_refused_when_they_are_read() -> None:
    with pytest.raises(ConfigError, match="gaps"):
        build_spec(config(test_cfg={"mode": "slide", "crop_size": (4, 4), "stride": (6, 6)}), Network(), {})  # type: ignore[arg-type]


def test_every_pipeline_of_mmsegmentation_has_known_options_alone(mmseg_configs: Path) -> None:
    count = 0
    for path in sorted(mmseg_configs.rglob("*.py")):
        if "_base_" in path.parts or "model" not in (values := read_config(path).values):
            continue
        try:
            unknown = read_pipeline(find_pipeline(values)[0], new=bool(data_preprocessor(values))).unknown
        except UnsupportedError:  # two images at once
            continue
        assert unknown == [], path
        count += 1
    assert count > 670


def test_a_pipeline_of_0_x_keeps_the_ratio_by_default_without_an_augmentation_too() -> None:
    packing = {"type": "Collect", "keys": ["img"]}
    old = read_pipeline([LOAD, {"type": "Resize", "img_scale": (64, 32)}, packing])
    assert old.geometry == [Resize(width=64, height=32, keep_ratio=True)]
    assert read_pipeline([LOAD, RESIZE, PACK]).geometry == [Resize(width=64, height=32, keep_ratio=False)]
