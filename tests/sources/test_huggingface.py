"""Folders that transformers saved, against what the library itself makes of the same image."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

pytest.importorskip("transformers", reason="pip install segship[huggingface]")

from segship.core.errors import (
    CheckpointError,
    ConfigError,
    MissingExtraError,
    SegshipError,
    UnsafeFileError,
    UnsupportedError,
)
from segship.core.spec import Resize, SizeRule
from segship.deploy import export
from segship.networks.session import EagerSession
from segship.runtime import Segmentor
from segship.runtime.pipeline import Pipeline
from segship.sources import Loaded, find_source, load, sources
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support.hugging import CLASSES, NETWORKS, PYRAMID, save
from support.references import REFERENCES

UNRECORDED = "compared with transformers itself while the tests run"

NOISE = 3e-5
pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own, of many kinds


@pytest.fixture(scope="module")
def image() -> Any:
    return read_image(REFERENCES / "pipeline" / "street_300x401.png")


@pytest.fixture(scope="module", params=sorted(name for name in NETWORKS if not name.startswith("eomt")))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Loaded]:
    folder = tmp_path_factory.mktemp(request.param)
    model, processor = save(request.param, folder)
    return model, processor, load(folder)


def test_pixels_scores_and_mask_equal_the_librarys(saved: tuple[Any, Any, Loaded], image: Any) -> None:
    model, processor, loaded = saved
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt")
    np.testing.assert_allclose(prepare(image, loaded.spec).tensor, inputs["pixel_values"].numpy(), atol=1e-6)
    with torch.inference_mode():
        output = model(**inputs)
        ours = loaded.network.logits(inputs["pixel_values"])
    if loaded.spec.resize_logits == "through_input":
        ours = interpolate(ours, inputs["pixel_values"].shape[2:], mode="bilinear")
    theirs = processor.post_process_semantic_segmentation(
        output, target_sizes=[image.shape[:2]], return_segmentation_scores=True
    )[0]
    scores = theirs["segmentation_scores"]
    assert (interpolate(ours, image.shape[:2], mode="bilinear")[0] - scores).abs().max() / scores.abs().max() < NOISE
    found = Pipeline(EagerSession(loaded.network), loaded.spec, SizeRule()).labels(image, "bgr")
    assert (found == theirs["segmentation"].numpy()).mean() >= 0.9999


def test_meaning_comes_from_config_and_processor(saved: tuple[Any, Any, Loaded]) -> None:
    loaded = saved[2]
    keeps_ratio = loaded.network.sizes.fixed is not None and not isinstance(loaded.spec.geometry[0], Resize)
    assert ["takes one size only" in note for note in loaded.notes] == [True] * keeps_ratio
    assert loaded.spec.classes == tuple(CLASSES.values())
    assert {"config.json", "preprocessor_config.json", "model.safetensors"} == set(loaded.origin)
    assert not loaded.spec.reduce_zero_label


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save("segformer", tmp_path)
    return tmp_path


def change(folder: Path, name: str = "config.json", **values: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_folder_is_recognised(folder: Path, tmp_path: Path) -> None:
    assert find_source(folder) is sources()["huggingface"]
    assert find_source(folder / "config.json") is sources()["huggingface"]
    assert not sources()["huggingface"].recognises(tmp_path / "nowhere")
    (folder / "config.json").write_text("[1")
    assert not sources()["huggingface"].recognises(folder)


def test_labels_of_ade20k_keep_their_meaning(folder: Path) -> None:
    change(folder, "preprocessor_config.json", do_reduce_labels=True)
    assert load(folder).spec.reduce_zero_label


def test_options_reach_the_processor(folder: Path) -> None:
    spec = load(folder, cfg_options=["processor.size.height=32", "processor.do_normalize=False"]).spec
    assert (spec.geometry[0].height, spec.geometry[0].width) == (32, 96)  # type: ignore[union-attr]
    assert spec.normalization.std == (255, 255, 255)
    with pytest.raises(ConfigError, match="no option 'procesor'"):
        load(folder, cfg_options=["procesor.size=1"])


def test_fixed_networks_take_the_size_that_is_asked_for(tmp_path: Path) -> None:
    save("maskformer", tmp_path)
    assert load(tmp_path, cfg_options=["image_size=[64,128]"]).network.sizes == SizeRule(fixed=(64, 128))
    with pytest.raises(ConfigError, match="image_size is 'big'"):
        load(tmp_path, cfg_options=["image_size=big"])


def test_weights_kept_as_a_pickle_are_read_without_running_it(folder: Path) -> None:
    expected = load(folder).network.state_dict()
    weights = {key.removeprefix("module.model."): value for key, value in expected.items()}
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    found = load(folder).network.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UnsafeFileError, match=r"os.system"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        load(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"segformer.x": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"not of this network: missing .*not trained to segment"):
        load(folder)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"architectures": ["SegformerForImageClassification"]}, UnsupportedError, "Did you mean 'SegformerForSem"),
        ({"architectures": ["Mine"], "auto_map": {"AutoModel": "x.Mine"}}, UnsupportedError, "auto_map.*never run"),
        ({"_attn_implementation": "someone/kernel"}, UnsafeFileError, "someone/kernel.*would fetch code"),
        ({"quantization_config": {"quant_method": "x"}}, UnsupportedError, "quantized"),
        ({"backbone": "someone/network"}, UnsupportedError, "taken from elsewhere.*save it again"),
        (
            {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:someone/network"}},
            UnsafeFileError,
            "'hf-hub:someone/network', which is fetched from elsewhere; nothing was",
        ),
        ({"model_type": "detr", "backbone": "local-dir:/etc"}, UnsafeFileError, "'local-dir:/etc'"),
        ({"hidden_sizes": "many"}, SegshipError, "does not take"),
    ],
)
def test_configs_that_ask_for_more_are_refused(
    folder: Path, values: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        load(change(folder, **values))


def test_a_folder_without_processor_is_told(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    assert "no preprocessor_config.json" in load(folder).notes[0]


def test_unknown_processors_are_refused(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="names 'Mine'"):
        load(change(folder, "preprocessor_config.json", image_processor_type="Mine"))


def test_a_backbone_of_timm_needs_timm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"backbone resnet50 of timm.*segship\[timm\]"):
        load(change(folder, model_type="detr", use_timm_backbone=True, backbone="resnet50"))


def test_one_mean_stands_for_all_channels_and_others_are_one_each(folder: Path) -> None:
    spec = load(change(folder, "preprocessor_config.json", image_mean=0.5, image_std=0.25)).spec
    assert spec.normalization.mean == (127.5,) * 3
    with pytest.raises(ConfigError, match=r"image_mean has 4 numbers, but the network takes images of 3 channels"):
        load(folder, cfg_options=["processor.image_mean=[0.5,0.5,0.5,0.5]"])


def test_other_numbers_of_channels_than_of_photographs_are_bands(tmp_path: Path) -> None:
    import transformers

    options = {"num_channels": 6, "depths": [1] * 4, "hidden_sizes": [8, 8, 8, 8], "num_attention_heads": [1] * 4}
    model = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**options)).eval()
    model.save_pretrained(tmp_path)
    numbers = {"image_mean": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "image_std": 0.5, "size": {"height": 32, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(numbers))
    spec = load(tmp_path).spec
    assert (spec.pixels, spec.channels) == ("multispectral", 6)
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 6)).astype(np.uint8)
    expected = (image / 255 - numbers["image_mean"]) / 0.5
    np.testing.assert_allclose(prepare(image, spec).tensor[0], expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("kind", ["swin", "hiera"])
def test_positions_that_the_library_does_not_resize_fix_the_size(kind: str, tmp_path: Path) -> None:
    import transformers

    common = {"image_size": [64, 64], "out_features": PYRAMID, "embed_dim": 8, "num_heads": [1, 1, 2, 2]}
    own: dict[str, Any] = {"window_size": 4, "image_size": 64, "use_absolute_embeddings": True}
    own = own if kind == "swin" else {"masked_unit_size": [8, 8]}
    backbone = transformers.AutoConfig.for_model(kind, depths=[1, 1, 1, 1], **(common | own))
    config = transformers.UperNetConfig(backbone_config=backbone, hidden_size=8, auxiliary_in_channels=32)
    transformers.UperNetForSemanticSegmentation(config).save_pretrained(tmp_path)
    assert load(tmp_path).network.sizes == SizeRule(fixed=(64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segformer", "beit"])
def test_package_gives_the_librarys_mask(name: str, tmp_path: Path, image: Any) -> None:
    model, processor = save(name, tmp_path / "saved")
    package = export(tmp_path / "saved", None, tmp_path / "package")
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
    expected = processor.post_process_semantic_segmentation(output, target_sizes=[image.shape[:2]])[0].numpy()
    assert (Segmentor(package.path)(image, channel_order="bgr") == expected).mean() >= 0.9999


def test_a_processor_that_cuts_out_the_middle_sees_the_whole_image_and_says_so(tmp_path: Path) -> None:
    save("mobilevit", tmp_path)
    change(tmp_path, "preprocessor_config.json", do_center_crop=True, crop_size={"height": 48, "width": 64})
    loaded = load(tmp_path)
    # The library stretches the mask of the middle over the whole image; here the mask is of the whole image.
    assert [step.kind for step in loaded.spec.geometry] == ["resize_edges"]
    assert any("cuts out the middle of images" in note for note in loaded.notes)


def test_reduce_labels_of_older_versions_means_what_it_meant(folder: Path) -> None:
    change(folder, "preprocessor_config.json", reduce_labels=True)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "do_reduce_labels"}))
    assert load(folder).spec.reduce_zero_label


def test_a_processor_saved_by_transformers_5_alone_is_read(folder: Path) -> None:
    old = load(folder)
    values = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "P", "image_processor": values}))
    new = load(folder)
    assert new.spec == old.spec
    assert "processor_config.json" in new.origin
    assert not [note for note in new.notes if "by default" in note]


def test_an_option_that_the_processor_does_not_have_is_an_error_that_names_it(folder: Path) -> None:
    change(folder, "preprocessor_config.json", do_resise=False)
    with pytest.raises(ConfigError, match=r"'do_resise'.*'do_resize'.*--ignore-unknown"):
        load(folder)
    assert any("do_resise" in note for note in load(folder, ignore_unknown=True).notes)


def test_options_that_only_training_reads_are_known_by_name(folder: Path) -> None:
    change(folder, "preprocessor_config.json", do_random_crop=True, image_scale=[2048, 512], crop_size=[512, 512])
    assert load(folder).spec.geometry


def test_the_newer_file_counts_where_both_speak_of_images_as_in_the_library(folder: Path) -> None:
    values = json.loads((folder / "preprocessor_config.json").read_text())
    nested = values | {"size": {"height": 96, "width": 64}}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": nested}))
    (step,) = load(folder).spec.geometry
    assert step.plan(50, 50).size == (96, 64)
    size = importlib.import_module("transformers").SegformerImageProcessorPil.from_pretrained(folder).size
    assert (size["height"], size["width"]) == (96, 64)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "P"}))
    assert load(folder).spec.geometry != (step,)


def test_both_names_of_the_kind_are_understood_together(folder: Path) -> None:
    old = load(folder)
    kind = "SegformerFeatureExtractor"
    change(folder, "preprocessor_config.json", image_processor_type=kind, feature_extractor_type=kind)
    assert load(folder).spec == old.spec


def test_one_option_by_two_names_with_two_values_is_refused(folder: Path) -> None:
    change(folder, "preprocessor_config.json", reduce_labels=True, do_reduce_labels=False)
    with pytest.raises(ConfigError, match="reduce_labels and do_reduce_labels are one option"):
        load(folder)
