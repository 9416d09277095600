from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import record_pipelines
from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Normalization, Pad, Padding, Resize, ResizeShortestEdge, ResizeToMultiple
from segship.sources.mmseg.channels import MixedNetwork
from segship.sources.mmseg.pipeline import read_pipeline
from segship.sources.mmseg.spec import build_spec
from segship.sources.mmseg.tested import find_dataset, find_pipeline
from segship.vision.bands import read_pixels
from segship.vision.preprocess import prepare
from segship.vision.upsample import labels

HERE = Path(__file__).parent
CASES = tomllib.loads((HERE / "pipeline_cases.toml").read_text())
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Network:
    """As much of a network as a spec is made from."""

    def __init__(self, num_classes: int = 3, **changes: Any) -> None:
        self.num_classes = num_classes
        self.out_channels = num_classes
        self.align_corners = False
        self.threshold: float | None = None
        vars(self).update(changes)


def config(pipeline: Any = (), **changes: Any) -> dict[str, Any]:
    model = {
        "type": "EncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True},
        "backbone": {"type": "mmpretrain.ConvNeXt"},
        "decode_head": {"type": "FCNHead"},
        "test_cfg": {"mode": "whole"},
    }
    return {"model": model | changes.pop("model", {}), "test_pipeline": list(pipeline), **changes}


@pytest.mark.parametrize("name", sorted(CASES))
def test_network_sees_and_masks_show_what_mmsegmentation_computes(name: str, tmp_path: Path) -> None:
    changes = record_pipelines.config_values(CASES[name])
    recorded = np.load(HERE.parents[1] / "references" / "mmseg_pipelines.npz")
    values = config(changes["test_pipeline"])
    values["model"]["data_preprocessor"] |= changes["preprocessor"]
    spec, notes, mix, *_ = build_spec(values, Network(align_corners=changes["align_corners"]), {})
    image = record_pipelines.write_image(CASES[name].get("image", "colour"), tmp_path)
    prepared = prepare(read_pixels(image, spec), spec)
    seen = torch.from_numpy(prepared.tensor)
    if mix is not None:
        seen = MixedNetwork(Network(), mix).mix(seen)
    assert seen.shape == tuple(recorded[f"{name}/shape"])
    grid = seen[0, :, :: record_pipelines.GRID, :: record_pipelines.GRID].numpy()
    # Where it was recorded, OpenCV resized float32 by Intel's library, whose weights differ in the last bits.
    close = 2e-5 if mix is not None else 5e-6 if name.startswith("float32") else 1e-6
    np.testing.assert_allclose(grid, recorded[f"{name}/input"], rtol=0, atol=close)
    logits = record_pipelines.answer(seen)[0].numpy()
    steps = [type(prepared.steps[0])(seen.shape[2:]), *prepared.steps]
    mask = labels(logits, steps, align_corners=spec.align_corners)
    assert np.mean(mask[::3, ::3] == recorded[f"{name}/labels"]) >= 0.999
    *loading, unnamed = notes
    assert "names the classes: they are called class-0" in unnamed
    assert "load" in CASES[name] or not loading


def old(*transforms: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """A test pipeline of 0.x."""
    cfg = {"type": "MultiScaleFlipAug", "img_scale": (2048, 1024), "flip": False, "transforms": list(transforms)}
    return [{"type": "LoadImageFromFile"}, cfg | changes]


NORMALIZE = {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True}
ENDING = ({"type": "ImageToTensor", "keys": ["img"]}, {"type": "Collect", "keys": ["img"]})


def test_pipeline_of_the_old_kind_resizes_keeping_the_ratio_and_normalises() -> None:
    pipeline = read_pipeline(old({"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}, NORMALIZE, *ENDING))
    assert pipeline.geometry == [Resize(width=2048, height=1024, keep_ratio=True)]
    assert pipeline.normalization == Normalization(mean=(1, 2, 3), std=(4, 5, 6))
    assert pipeline.padding is None


@pytest.mark.parametrize(
    ("transforms", "changes", "geometry"),
    [
        ([{"type": "Resize"}], {}, [Resize(width=2048, height=1024, keep_ratio=True)]),
        ([{"type": "Resize", "keep_ratio": False}], {}, [Resize(width=2048, height=1024)]),
        ([{"type": "Resize"}], {"img_ratios": 0.5}, [Resize(width=1024, height=512, keep_ratio=True)]),
        ([{"type": "Resize"}], {"img_ratios": [0.5]}, [Resize(width=1024, height=512, keep_ratio=True)]),
        ([{"type": "Resize"}], {"img_scale": [(512, 256)]}, [Resize(width=512, height=256, keep_ratio=True)]),
        ([{"type": "Resize"}], {"img_scale": None, "img_ratios": [1.0]}, []),
        ([{"type": "Resize", "img_scale": (9, 8)}], {}, [Resize(width=9, height=8, keep_ratio=True)]),
        ([{"type": "Resize", "min_size": 640}], {}, [ResizeShortestEdge(size=1024, max_size=2**24)]),
        ([{"type": "Resize", "min_size": 2000}], {}, [ResizeShortestEdge(size=2000, max_size=2**24)]),
        ([{"type": "Pad", "size": (600, 700)}], {}, [Pad(height=600, width=700, crop=True)]),
        ([{"type": "Pad", "size_divisor": 32, "pad_val": 5}], {}, [Pad(multiple_of=32, value=(5.0,), crop=True)]),
        ([{"type": "ResizeToMultiple", "size_divisor": 16}], {}, [ResizeToMultiple(multiple_of=16)]),
    ],
)
def test_geometry_of_the_old_kind(
    transforms: list[dict[str, Any]], changes: dict[str, Any], geometry: list[Any]
) -> None:
    assert read_pipeline(old(*transforms, NORMALIZE, *ENDING, **changes)).geometry == geometry


def test_padding_after_normalisation_is_cut_off_again() -> None:
    pipeline = read_pipeline(old({"type": "Resize"}, NORMALIZE, {"type": "Pad", "size": (600, 700), "pad_val": 0}))
    assert pipeline.padding == Padding(height=600, width=700)
    pipeline = read_pipeline(old(NORMALIZE, {"type": "Pad", "size_divisor": 32, "pad_val": 2}))
    assert pipeline.padding == Padding(multiple_of=32, value=2)


def test_size_of_padding_is_width_first_in_the_new_kind_only() -> None:
    assert read_pipeline([{"type": "Pad", "size": (600, 400)}]).geometry == [Pad(width=600, height=400)]


def test_scopes_before_names_are_cut_off() -> None:
    assert read_pipeline([{"type": "mmcv.Resize", "scale": (2, 3)}]).geometry == [Resize(width=2, height=3)]


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ([{"type": "CLAHE"}], "'CLAHE'"),
        ([{"type": "PhotoMetricDistortion"}], "'PhotoMetricDistortion'"),
        ([{"type": "CenterCrop", "crop_size": 5}], "'CenterCrop'"),
        ([{"type": "LoadMultipleRSImageFromFile"}], "'LoadMultipleRSImageFromFile'"),
        ([{"type": "RandomFlip", "prob": 0.5}], "at random"),
        ([{"type": "Resize", "scale_factor": 0.5}], "scale_factor"),
        ([{"type": "Resize", "scale": 5, "interpolation": "nearest"}], "bilinear"),
        ([{"type": "Resize", "scale": 5, "backend": "pillow"}], "cv2"),
        ([{"type": "Pad", "pad_to_square": True}], "size and size_divisor"),
        ([{"type": "Pad", "size": (5, 5), "padding_mode": "reflect"}], "with a constant"),
        ([NORMALIZE, NORMALIZE], "twice"),
        ([NORMALIZE, {"type": "Pad", "size": (5, 5)}], "after Normalize"),
        ([{"type": "LoadImageFromFile", "color_type": "color_ignore_orientation"}], "EXIF orientation"),
        ([{"type": "LoadImageFromFile", "color_type": "unchanged", "imdecode_backend": "pillow"}], "unchanged"),
        ([{"type": "LoadImageFromFile", "color_type": "depth"}], "'depth'"),
        ([{"type": "LoadImageFromFile", "imdecode_backend": "turbojpeg"}], "cv2, pillow and tifffile"),
        ([{"type": "LoadBiomedicalImageFromFile"}], "loads volumes"),
        ([{"type": "mmseg.LoadBiomedicalData"}], "loads volumes"),
        ([{"type": "RGB2Gray"}, {"type": "RGB2Gray"}], "RGB2Gray after"),
        ([NORMALIZE, {"type": "RGB2Gray"}], "RGB2Gray after Normalize"),
        ([{"type": "RGB2Gray"}, {"type": "Pad", "size_divisor": 2, "pad_val": 1}], "pad_val of 0"),
        ([{"type": "RGB2Gray"}, {"type": "ResizeToMultiple"}], "ResizeToMultiple of an image of float32"),
        ([{"type": "LoadImageFromFile", "to_float32": True}, {"type": "ResizeShortestEdge", "scale": 5}], "float32"),
        (old(flip=True), "augmentation"),
        (old(img_ratios=[0.5, 1.0]), "augmentation"),
        (old(img_scale=[(1, 2), (3, 4)]), "augmentation"),
        (old(img_scale=None, img_ratios=0.5), "img_ratios alone"),
    ],
)
def test_what_changes_pixels_otherwise_is_refused_by_name(pipeline: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        read_pipeline(pipeline)


@pytest.mark.parametrize(
    "pipeline",
    [
        "text",
        {"type": "Resize"},
        ["Resize"],
        [{"scale": 5}],
        [{"type": "Resize"}],
        [{"type": "Resize", "scale": "a"}],
        [{"type": "Resize", "scale": (1, 2, 3)}],
        [{"type": "Resize", "scale": (0, 5)}],
        [{"type": "Resize", "scale": (1.5, 5)}],
        [{"type": "Resize", "scale": (True, 5)}],
        [{"type": "Resize", "scale": 10**30}],
        [{"type": "Pad"}],
        [{"type": "Pad", "size": (5, 5), "pad_val": "black"}],
        [{"type": "Pad", "size_divisor": 0}],
        [{"type": "ResizeShortestEdge", "max_size": 5}],
        [{"type": "Normalize", "mean": [1], "std": [1, 2]}],
        [{"type": "Normalize", "mean": [1], "std": [0]}],
    ],
)
def test_malformed_pipelines_are_refused(pipeline: Any) -> None:
    with pytest.raises(ConfigError):
        read_pipeline(pipeline)


def test_places_of_the_pipeline() -> None:
    first, second = [{"type": "Resize", "scale": 1}], [{"type": "Resize", "scale": 2}]
    assert find_pipeline({"test_pipeline": first}) == (first, "")
    assert find_pipeline({"test_dataloader": {"dataset": {"pipeline": first}}}) == (first, "")
    assert find_pipeline({"data": {"test": {"pipeline": first}}}) == (first, "")
    assert find_pipeline({"data": {"val": {"pipeline": first}}}) == (first, "")
    assert find_pipeline({"test_pipeline": first, "test_dataloader": {"dataset": {"pipeline": first}}}) == (first, "")
    found, note = find_pipeline({"test_pipeline": first, "test_dataloader": {"dataset": {"pipeline": second}}})
    assert found == first
    assert "differs" in note
    assert find_pipeline({}) == (None, "")


def test_data_set_is_found_in_its_wrappers() -> None:
    inner = {"type": "ADE20KDataset"}
    concatenated = {"type": "ConcatDataset", "datasets": [inner, {"type": "Other"}]}
    repeated = {"type": "RepeatDataset", "dataset": concatenated}
    assert find_dataset({"test_dataloader": {"dataset": repeated}}) == inner
    assert find_dataset({"data": {"test": [inner, inner]}}) == inner
    assert find_dataset({"data": "nonsense", "test_dataloader": None}) == {}
    endless: dict[str, Any] = {"type": "RepeatDataset"}
    endless["dataset"] = endless
    assert find_dataset({"test_dataloader": {"dataset": endless}})["type"] == "RepeatDataset"


def test_slide() -> None:
    values = config(model={"test_cfg": {"mode": "slide", "crop_size": (64, 32), "stride": [42, 21]}})
    slide = build_spec(values, Network(), {})[0].slide
    assert slide is not None
    assert (slide.crop, slide.stride) == ((64, 32), (42, 21))
    values = config(model={"test_cfg": None}, test_cfg={"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)})
    assert build_spec(values, Network(), {})[0].slide is not None
    values = config(model={"test_cfg": None}, test_cfg={"type": "TestLoop"})
    assert build_spec(values, Network(), {})[0].slide is None


@pytest.mark.parametrize(
    ("test_cfg", "error"),
    [
        ({"mode": "slide_flip"}, UnsupportedError),
        ({"mode": "slide"}, ConfigError),
        ({"mode": "slide", "crop_size": (64, 64), "stride": (0, 1)}, ConfigError),
        ({"mode": "slide", "crop_size": "a", "stride": (1, 1)}, ConfigError),
    ],
)
def test_slides_that_cannot_be_are_refused(test_cfg: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        build_spec(config(model={"test_cfg": test_cfg}), Network(), {})


@pytest.mark.parametrize(
    ("preprocessor", "error"),
    [
        ({"type": "MyPreProcessor"}, UnsupportedError),
        ("text", UnsupportedError),
        ({"type": "SegDataPreProcessor", "mean": [1] * 6, "std": [1] * 6}, UnsupportedError),
        ({"type": "SegDataPreProcessor", "mean": [1, 2, 3], "std": None}, ConfigError),
        ({"type": "SegDataPreProcessor", "test_cfg": {"size": (1, 2), "size_divisor": 3}}, ConfigError),
        ({"type": "SegDataPreProcessor", "test_cfg": {"size": 5}}, ConfigError),
        ({"type": "SegDataPreProcessor", "test_cfg": {"size_divisor": "a"}}, ConfigError),
    ],
)
def test_preprocessors_that_cannot_be_are_refused(preprocessor: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        build_spec(config(model={"data_preprocessor": preprocessor}), Network(), {})


def test_preprocessor_beside_the_model_counts_where_the_model_has_none() -> None:
    beside = {"type": "SegDataPreProcessor", "mean": [1, 1, 1], "std": [2, 2, 2]}
    values = config(model={"data_preprocessor": None}, data_preprocessor=beside)
    assert build_spec(values, Network(), {})[0].normalization == Normalization(
        channel_order="bgr", mean=(1, 1, 1), std=(2, 2, 2)
    )


def test_grey_images() -> None:
    grey = [{"type": "LoadImageFromFile", "color_type": "grayscale"}]
    one = {"type": "SegDataPreProcessor", "mean": [1], "std": [2]}
    spec, *_ = build_spec(config(grey, model={"data_preprocessor": one}), Network(), {})
    assert spec.normalization == Normalization(channel_order="bgr", mean=(1,), std=(2,))
    bare = {"type": "SegDataPreProcessor"}
    assert build_spec(config(grey, model={"data_preprocessor": bare}), Network(), {})[0].channels == 1
    with pytest.raises(UnsupportedError, match="3 channels"):
        build_spec(config(grey), Network(), {})


def test_channels_that_contradict_each_other_are_refused() -> None:
    both = {"type": "SegDataPreProcessor", "bgr_to_rgb": True, "rgb_to_bgr": True}
    with pytest.raises(ConfigError, match="bgr_to_rgb and rgb_to_bgr"):
        build_spec(config(model={"data_preprocessor": both}), Network(), {})
    grey = {"type": "LoadImageFromFile", "color_type": "grayscale"}
    with pytest.raises(ConfigError, match="RGB2Gray has 3 weights, but images are loaded with 1"):
        build_spec(config([grey, {"type": "RGB2Gray"}]), Network(), {})
    padded = {"type": "SegDataPreProcessor", "test_cfg": {"size_divisor": 32}}
    with pytest.raises(UnsupportedError, match="padding of a normalised image together with RGB2Gray"):
        build_spec(config([{"type": "RGB2Gray"}], model={"data_preprocessor": padded}), Network(), {})


def test_normalize_of_0_x_turns_bands_as_they_are_stored_too() -> None:
    values = config(old(NORMALIZE, *ENDING), model={"data_preprocessor": None})
    values["test_pipeline"][0]["imdecode_backend"] = "tifffile"
    turned = build_spec(values, Network(), {})
    assert turned.spec.normalization.mean == (3, 2, 1)
    assert turned.mix is not None
    assert turned.mix.weights == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    values["test_pipeline"][1]["transforms"] = [NORMALIZE | {"to_rgb": False}, *ENDING]
    kept = build_spec(values, Network(), {})
    assert (kept.spec.normalization.mean, kept.mix) == ((1, 2, 3), None)


def test_loops_of_testing_beside_the_model_are_no_test_cfg_of_the_network() -> None:
    values = config(model={"test_cfg": None}, test_cfg={"type": "TestLoop", "fp16": True})
    assert build_spec(values, Network(), {}).spec.slide is None


def test_label_maps_that_are_called_otherwise_are_noted() -> None:
    dataset = {"type": "BaseSegDataset", "seg_map_suffix": "_mask.png", "img_suffix": "_sat.jpg"}
    notes = build_spec(config(test_dataloader={"dataset": dataset}), Network(), {}).notes
    assert any(note.endswith("with --image-suffix _sat.jpg --label-suffix _mask.png") for note in notes)
    dataset["img_suffix"] = ".jpg"
    notes = build_spec(config(test_dataloader={"dataset": dataset}), Network(), {}).notes
    assert any(note.endswith("finds them with --label-suffix _mask.png") for note in notes)
    usual = {"type": "CityscapesDataset", "seg_map_suffix": "_gtFine_labelTrainIds.png"}
    notes = build_spec(config(test_dataloader={"dataset": usual}), Network(19), {}).notes
    assert not any("end in" in note for note in notes)


def test_normalising_twice_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="both"):
        build_spec(config([NORMALIZE]), Network(), {})
    padded = config(old(NORMALIZE, {"type": "Pad", "size_divisor": 2}))
    padded["model"]["data_preprocessor"] = {"type": "SegDataPreProcessor", "test_cfg": {"size_divisor": 2}}
    with pytest.raises(UnsupportedError, match="both"):
        build_spec(padded, Network(), {}, ignore_unknown=True)


def test_binary_network() -> None:
    spec, *_ = build_spec(config(), Network(2, out_channels=1, threshold=0.7), {})
    assert (spec.output, spec.threshold, len(spec.classes)) == ("sigmoid", 0.7, 2)
    spec, *_ = build_spec(config(), Network(2, out_channels=1), {})
    assert spec.threshold == 0.3
    spec, *_ = build_spec(config(), Network(2), {})
    assert spec.output == "softmax"


@pytest.mark.parametrize(
    ("dataset", "pipeline", "meta", "reduces"),
    [
        ({"type": "ADE20KDataset"}, [], {}, True),
        ({"type": "mmseg.ADE20KDataset"}, [], {}, True),
        ({"type": "CityscapesDataset"}, [], {}, False),
        ({"type": "Unknown"}, [], {}, False),
        ({"type": "Unknown", "reduce_zero_label": True}, [], {}, True),
        ({"type": "ADE20KDataset", "reduce_zero_label": False}, [], {}, False),
        ({}, [{"type": "LoadAnnotations", "reduce_zero_label": True}], {}, True),
        ({}, [], {"dataset_meta": {"reduce_zero_label": True}}, True),
        ({"type": "ADE20KDataset"}, [], {"dataset_meta": {"reduce_zero_label": False}}, False),
    ],
)
def test_reduce_zero_label(
    dataset: dict[str, Any], pipeline: list[Any], meta: dict[str, Any], *, reduces: bool
) -> None:
    values = config(pipeline, test_dataloader={"dataset": dataset})
    assert build_spec(values, Network(), meta)[0].reduce_zero_label is reduces


def test_config_without_a_pipeline_is_noted() -> None:
    values = config()
    del values["test_pipeline"]
    spec, notes, *_ = build_spec(values, Network(), {})
    assert spec.geometry == ()
    assert "no test pipeline" in notes[0]


def test_architecture_names_the_parts() -> None:
    assert build_spec(config(), Network(), {})[0].architecture == "EncoderDecoder(ConvNeXt, FCNHead)"
