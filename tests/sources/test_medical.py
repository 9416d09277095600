"""nnU-Net and MONAI in two dimensions, against what the libraries themselves made of the same image."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from segship.core.errors import ConfigError, InputError, SegshipError, UnsupportedError
from segship.core.spec import Slide
from segship.deploy import export
from segship.networks.session import EagerSession
from segship.runtime import Segmentor
from segship.runtime.pipeline import Pipeline
from segship.sources import Source, find_source, load, sources
from segship.vision import tiling
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support import medical
from support.references import REFERENCES

if TYPE_CHECKING:
    from pathlib import Path

NNUNET, MONAI = REFERENCES / "nnunet", REFERENCES / "monai"
LABELS = 0.9999  # one of the 11 011 labels may be a tie


def nnunet(name: str, to: Path, folds: int = 2, **changes: Any) -> Path:
    """A folder as nnU-Net's training leaves it."""
    folder = to / "nnUNetTrainer__nnUNetPlans__2d"
    shutil.copytree(NNUNET / name, folder)
    state = json.loads((folder / "state.json").read_text())
    for fold in range(folds):
        (folder / f"fold_{fold}").mkdir()
        kept = {
            "network_weights": medical.weights(state, f"{fold}:"),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1),
            "init_args": {"configuration": "2d", "fold": fold, "device": torch.device("cpu")},
        }
        torch.save(kept, folder / f"fold_{fold}" / "checkpoint_final.pth")
    if changes:
        plans = json.loads((folder / "plans.json").read_text())
        plans["configurations"]["2d"] |= changes
        (folder / "plans.json").write_text(json.dumps(plans))
    return folder


def monai(name: str, to: Path) -> Path:
    """A bundle's folder."""
    folder = to / name
    shutil.copytree(MONAI / name, folder)
    (folder / "models").mkdir()
    state = json.loads((folder / "state.json").read_text())
    torch.save(medical.weights(state, ""), folder / "models" / "model.pt")
    return folder


@pytest.mark.parametrize("name", medical.PLANS)
def test_nnunet_gives_its_own_labels(name: str, tmp_path: Path) -> None:
    folder, recorded = nnunet(name, tmp_path), np.load(NNUNET / "masks.npz")
    assert find_source(folder) is sources()["nnunet"]
    image = read_image(NNUNET / "image.png")
    for count in (1, 2):
        loaded = load(folder, cfg_options={"folds": list(range(count))})
        assert loaded.tta is not None
        plain = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
        for way, pipeline in (("plain", plain), ("mirror", plain.mirrored(loaded.tta.mirror))):
            same = pipeline.labels(image, "bgr") == recorded[f"{name}_{count}_{way}"]
            assert same.mean() >= LABELS, (count, way, same.mean())


@pytest.mark.parametrize("step", medical.STEPS)
@pytest.mark.parametrize("name", medical.PLANS)
def test_steps_of_nnunet_that_are_no_whole_pixels(name: str, step: float, tmp_path: Path) -> None:
    recorded = np.load(NNUNET / "masks.npz")
    loaded = load(nnunet(name, tmp_path), cfg_options={"folds": [0], "tile_step_size": step})
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    expected = recorded[f"{name}_step{step}"]
    assert (pipeline.labels(read_image(NNUNET / "image.png"), "bgr") == expected).mean() >= LABELS
    assert (recorded[f"{name}_1_plain"] != expected).mean() > 0.01
    assert loaded.spec.model_validate(loaded.spec.model_dump()).slide == loaded.spec.slide


def test_what_is_not_zero_alone_is_normalised_as_nnunet_does(tmp_path: Path) -> None:
    spec = load(nnunet("plain", tmp_path, folds=1, use_mask_for_norm=[True] * 3)).spec
    image = read_image(NNUNET / "image.png")
    image[20:30, 30:50] = 0
    image[40:44, 30:50, 1] = 0
    found = prepare(image, spec).tensor[0]
    assert (found[:, 15, 30] == 0).all()  # seven rows of the border are cut off
    assert found[1, 35, 30] != 0  # zero in one channel alone
    # What crop_to_nonzero and ZScoreNormalization of nnU-Net 2.8.1 make of this image, every fifth row and column.
    np.testing.assert_allclose(found[:, ::5, ::5], np.load(NNUNET / "inside.npy"), atol=1e-5)


def test_steps_of_nnunet_are_a_pixel_and_more(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tile_step_size is 0.01, expected a number of 0.0208 .* to 1"):
        load(nnunet("plain", tmp_path, folds=1), cfg_options={"tile_step_size": 0.01})


def test_a_package_of_nnunet_mirrors_with_tta(tmp_path: Path) -> None:
    package = export(Source(nnunet("plain", tmp_path), cfg_options=["folds=0"]), tmp_path / "package")
    assert package.manifest.tta is not None
    assert package.manifest.tta.mirror == ("vertical", "horizontal")
    recorded = np.load(NNUNET / "masks.npz")
    for tta, way in ((None, "plain"), (True, "mirror")):
        with Segmentor(package.path, tta=tta) as segmentor:
            assert (segmentor(NNUNET / "image.png") == recorded[f"plain_1_{way}"]).mean() >= LABELS
    assert (recorded["plain_1_plain"] != recorded["plain_1_mirror"]).mean() > 0.01


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"patch_size": [16, 64, 48]}, "three-dimensional"),
        ({"spacing": [1.0, 0.5]}, "spacing"),
        (
            {"use_mask_for_norm": [True]},
            r"use_mask_for_norm is \[True\], expected true or false for each of 3 channels",
        ),
        ({"normalization_schemes": ["OwnNormalization"] * 3}, "OwnNormalization"),
        ({"previous_stage": "2d_low"}, "cascade"),
        ({"patch_sizes": [64, 48]}, "Did you mean 'patch_size'"),
        ({"architecture": {"network_class_name": "a.Primus", "arch_kwargs": {}}}, "Primus"),
        ({"spacing": 3}, "spacing of 3"),
    ],
)
def test_nnunet_that_is_not_provided_says_so(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    folder = nnunet("plain", tmp_path, folds=1, **changes)
    with pytest.raises(SegshipError, match=says):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nonlin_kwargs": ["x"]}, "nonlin_kwargs is .*expected names and values"),
        ({"norm_op_kwargs": "eps"}, "norm_op_kwargs is 'eps'"),
        ({"kernel_sizes": 1_000_000}, "kernel_sizes is 1000000, expected numbers up to 127"),
        ({"stem_channels": [32]}, r"stem_channels of .* is \[\[32\]\], expected positive whole numbers"),
        ({"conv_bias": "false"}, "conv_bias is 'false', expected true or false"),
    ],
)
def test_layers_of_nnunet_that_cannot_be_are_told(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    said = json.loads((NNUNET / "plain" / "plans.json").read_text())["configurations"]["2d"]["architecture"]
    said["arch_kwargs"] |= changes
    with pytest.raises(ConfigError, match=says):
        load(nnunet("plain", tmp_path, folds=1, architecture=said))


def test_nnunet_asks_for_folds_that_are_there(tmp_path: Path) -> None:
    folder = nnunet("plain", tmp_path, folds=1)
    with pytest.raises(SegshipError, match=r"fold_3.*does not exist.*fold_0"):
        load(folder, cfg_options=["folds=3"])
    with pytest.raises(ConfigError, match="no option 'fold'"):
        load(folder, cfg_options=["fold=0"])
    with pytest.raises(InputError, match="leave out --spec"):
        load(folder, spec={"classes": ["a", "b"]})
    shutil.rmtree(folder / "fold_0")
    with pytest.raises(InputError, match="name the trained weights"):
        load(folder)


@pytest.mark.parametrize("name", medical.BUNDLES)
def test_monai_gives_its_own_labels(name: str, tmp_path: Path) -> None:
    folder, recorded = monai(name, tmp_path), np.load(MONAI / "masks.npz")
    assert find_source(folder) is sources()["monai"]
    loaded = load(folder)
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    same = pipeline.labels(read_image(MONAI / "image.png"), "bgr") == recorded[name]
    assert same.mean() >= 0.9999, same.mean()


def test_a_package_of_monai(tmp_path: Path) -> None:
    package = export(monai("gaussian", tmp_path), tmp_path / "package")
    with Segmentor(package.path) as segmentor:
        labels = segmentor(MONAI / "image.png")
    assert (labels == np.load(MONAI / "masks.npz")["gaussian"]).mean() >= 0.9999


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("network_def.spatial_dims", 3, "two-dimensional"),
        ("network_def._target_", "DiNTS", "'DiNTS', which is not provided; provided are UNet, .*SwinUNETR"),
        ("network_def.channels", "$[4, 6] + [8]", "is not run"),
        ("network_def.norm", "spectral", "spectral"),
        ("inferer.roi_size", [8, 8, 8], "roi_size"),
        ("inferer.mode", ["gaussian"], "mode constant or gaussian"),
        ("inferer.overlaps", 0.5, "Did you mean 'overlap'"),
        ("inferer.overlap", "@nothing", "which is not there"),
        ("preprocessing.transforms.2._target_", "Spacingd", "Spacing"),
        ("postprocessing.transforms.1._target_", "KeepLargestConnectedComponentd", "KeepLargest"),
    ],
)
def test_monai_that_is_not_provided_says_so(option: str, value: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(SegshipError, match=says):
        load(monai("gaussian", tmp_path), cfg_options={option: value})


def test_weights_of_windows_are_those_of_the_libraries() -> None:
    slide = Slide(crop=(6, 8), stride=(3, 4), spread=True, nearest=True, blend="gaussian_half")
    windows = tiling.plan((11, 17), slide)
    assert (windows.tops, windows.lefts) == (
        (0, 2, 5),
        (0, 3, 6, 9),
    )  # compute_steps_for_sliding_window, halves to even
    one = np.ones((len(windows), 2, 6, 8), np.float32)
    assert (tiling.merge(one, windows, slide) == 1).all()
    with pytest.raises(UnsupportedError, match="a score for every pixel"):
        tiling.merge(one[:, :, ::2], windows, slide)


@pytest.mark.parametrize("blend", ["gaussian_half", "mean_half"])
def test_windows_of_members_are_summed_as_torch_sums_them(blend: Any) -> None:
    slide = Slide(crop=(6, 8), stride=(3, 4), spread=True, nearest=True, blend=blend, members=2)
    windows = tiling.plan((11, 17), slide)
    logits = np.random.default_rng(3).normal(0, 9, (len(windows), 6, 6, 8)).astype(np.float32)
    weights = torch.from_numpy(tiling._weights((6, 8), slide))
    members = []
    for each in torch.from_numpy(logits).split(3, 1):
        total, count = torch.zeros(3, 11, 17, dtype=torch.half), torch.zeros(11, 17, dtype=torch.half)
        places = [(top, left) for top in windows.tops for left in windows.lefts]
        for found, (top, left) in zip(each, places, strict=True):
            total[:, top : top + 6, left : left + 8] += found * weights
            count[top : top + 6, left : left + 8] += weights
        members.append(total / count)
    mean = (members[0] + members[1]) / 2
    assert (tiling.merge(logits, windows, slide) == mean.float().numpy()).all()
    with pytest.raises(ValueError, match="members are put together"):
        Slide(crop=(6, 8), stride=(3, 4), members=2)


def test_a_static_package_of_nnunet_pads_on_all_sides(tmp_path: Path) -> None:
    source = Source(nnunet("plain", tmp_path, folds=1))
    height, width = source.load().spec.slide.crop  # type: ignore[union-attr]
    package = export(source, tmp_path / "package", target=f"onnxruntime_static-{height}x{width}")
    image = read_image(NNUNET / "image.png")[:40, :30]
    loaded = load(tmp_path / "nnUNetTrainer__nnUNetPlans__2d")
    expected = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes).labels(image, "bgr")
    with Segmentor(package.path) as segmentor:
        assert (segmentor(image, channel_order="bgr") == expected).mean() >= LABELS


@pytest.mark.parametrize("name", medical.LIBRARY)
def test_other_networks_of_monai_give_its_own_labels(name: str, tmp_path: Path) -> None:
    pytest.importorskip("monai.networks.nets")
    inferers = pytest.importorskip("monai.inferers")
    window = [64, 64]
    network, channels = medical.library_bundle(name, tmp_path / "bundle", window)
    package = export(tmp_path / "bundle", tmp_path / "package", target="onnxruntime_dynamic")
    image = read_image(MONAI / "image.png")[:70, :80, :channels]
    loaded = load(tmp_path / "bundle")
    pipeline = Pipeline(EagerSession(loaded.network), package.manifest.spec, package.manifest.sizes)
    pixels = torch.from_numpy(pipeline.prepare(image, "bgr").tensor).transpose(2, 3)
    with torch.inference_mode():
        expected = inferers.SlidingWindowInferer(window, mode="gaussian")(pixels, network)[0]
        square = network(pixels[:, :, :64, :64])
    square = square[0] if isinstance(square, list) else square
    ours = loaded.network.logits(pixels[:, :, :64, :64].transpose(2, 3)).transpose(2, 3)
    assert (ours - square).abs().max() / square.abs().max() < 3e-5
    with Segmentor(package.path) as segmentor:
        found = segmentor(image, channel_order="bgr")
    assert (found == expected.argmax(0).T.numpy()).mean() >= 0.9999


def test_swin_unetr_of_monai_has_one_size(tmp_path: Path) -> None:
    pytest.importorskip("monai.networks.nets")
    folder = monai("gaussian", tmp_path)
    arguments = {"spatial_dims": 2, "in_channels": 3, "out_channels": 4, "feature_size": 12}
    changes = {"network_def": {"_target_": "SwinUNETR"} | arguments, "inferer.roi_size": [96, 64]}
    file = folder / "configs" / "inference.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"network_def": changes.pop("network_def")}))
    (folder / "models" / "model.pt").unlink()
    loaded = load(folder, cfg_options=changes, random_weights=True)
    assert loaded.network.sizes.fixed == (64, 96)
    for says in ({"inferer.roi_size": [48, 64]}, {"inferer": {"_target_": "SimpleInferer"}}):
        with pytest.raises(SegshipError, match=r"SwinUNETR computes otherwise at every size.*inferer.roi_size"):
            load(folder, cfg_options=says, random_weights=True)


@pytest.mark.parametrize("scale", ["ScaleIntensityd", "NormalizeIntensityd"])
def test_a_bundle_of_monai_that_resizes_and_inverts(scale: str, tmp_path: Path) -> None:
    bundle = pytest.importorskip("monai.bundle")
    folder = monai("gaussian", tmp_path)
    file = folder / "configs" / "inference.json"
    values = json.loads(file.read_text())
    transforms = values["preprocessing"]["transforms"]
    transforms[2:] = [
        {"_target_": "Resized", "keys": ["image"], "spatial_size": [96, 80], "mode": ["bilinear"]},
        {"_target_": scale, "keys": "image"},
    ]
    inverted = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}
    values["postprocessing"]["transforms"].insert(0, inverted | {"nearest_interp": False, "to_tensor": True})
    values["inferer"] = {"_target_": "SimpleInferer"}
    file.write_text(json.dumps(values))
    parser = bundle.ConfigParser(values)
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    data = parser.get_parsed_content("preprocessing")({"image": str(MONAI / "image.png")})
    with torch.inference_mode():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    expected = np.asarray(parser.get_parsed_content("postprocessing")(data)["pred"][0]).T
    loaded = load(folder)
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    found = pipeline.labels(read_image(MONAI / "image.png"), "bgr")
    assert found.shape == expected.shape
    assert (found == expected).mean() >= LABELS
    with pytest.raises(SegshipError, match="Resize with mode bilinear alone"):
        load(folder, cfg_options={"preprocessing.transforms.2.mode": "area"})


RANGE = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 255, "b_min": 0.0, "b_max": 1.0}
OF_IMAGENET = {
    "_target_": "NormalizeIntensityd",
    "keys": ["image"],
    "subtrahend": [0.485, 0.456, 0.406],
    "divisor": [0.229, 0.224, 0.225],
    "channel_wise": True,
}
OWN = {"_target_": "NormalizeIntensityd", "keys": "image"}
NONZERO = {"nonzero": True, "channel_wise": True}


@pytest.mark.parametrize(
    ("said", "is_fixed"),
    [
        ((RANGE, OF_IMAGENET), True),
        ((RANGE | {"clip": True}, OF_IMAGENET), True),  # bytes lie within these limits
        ((RANGE, OF_IMAGENET, RANGE | {"a_min": -1, "a_max": 1, "clip": True}), False),
        ((RANGE | {"b_max": 1000.0}, RANGE | {"a_max": 300, "clip": True}), False),
        ((RANGE | {"a_min": 40, "a_max": 180, "clip": True}, OF_IMAGENET), False),
        (({"_target_": "ScaleIntensityd", "keys": "image"}, OF_IMAGENET), False),
        ((RANGE, OWN), False),
        ((RANGE, OWN | NONZERO, OF_IMAGENET), False),
        ((OF_IMAGENET, OWN | {"_target_": "ScaleIntensityd", "channel_wise": True, "minv": -1.0}, OF_IMAGENET), False),
    ],
)
def test_scalings_one_after_another_are_one(said: tuple[dict[str, Any], ...], is_fixed: bool, tmp_path: Path) -> None:
    folder = monai("gaussian", tmp_path)
    transforms = json.loads((folder / "configs" / "inference.json").read_text())["preprocessing"]["transforms"][:2]
    spec = load(folder, cfg_options={"preprocessing.transforms": [*transforms, *said]}).spec
    assert spec.normalization.is_fixed == is_fixed
    bundle = pytest.importorskip("monai.bundle")
    parser = bundle.ConfigParser({"preprocessing": {"_target_": "Compose", "transforms": [*transforms, *said]}})
    expected = parser.get_parsed_content("preprocessing")({"image": str(MONAI / "image.png")})["image"]
    found = prepare(read_image(MONAI / "image.png"), spec).tensor[0]
    np.testing.assert_allclose(found, np.asarray(expected).transpose(0, 2, 1), atol=2e-5)


@pytest.mark.parametrize(
    "said", [(OWN, OWN), (OWN, RANGE | {"a_max": 2, "clip": True}), (OF_IMAGENET, OWN), (OF_IMAGENET, OWN | NONZERO)]
)
def test_scalings_that_are_not_one_are_refused(said: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    with pytest.raises(SegshipError, match="after a scaling that it cannot be joined with"):
        load(monai("gaussian", tmp_path), cfg_options={"preprocessing.transforms": list(said)})


@pytest.mark.parametrize("roi", [-1, [0, -1]])
def test_windows_as_large_as_the_image_are_none(roi: Any, tmp_path: Path) -> None:
    assert load(monai("gaussian", tmp_path), cfg_options={"inferer.roi_size": roi}).spec.slide is None


def test_the_foreground_of_two_classes_is_the_label_map(tmp_path: Path) -> None:
    folder = monai("gaussian", tmp_path)
    file = folder / "configs" / "inference.json"
    values = json.loads(file.read_text())
    values["network_def"]["out_channels"] = 2
    foreground = {"_target_": "Lambdad", "keys": ["pred"], "func": "$lambda x : x[1:]"}
    decided = {"_target_": "AsDiscreted", "argmax": True, "to_onehot": 2, "keys": ["pred"]}
    values["postprocessing"]["transforms"] = [decided, foreground]
    file.write_text(json.dumps(values))
    (folder / "models" / "model.pt").unlink()
    assert load(folder, random_weights=True).spec.output == "softmax"
    with pytest.raises(SegshipError, match="Lambda"):
        load(folder, random_weights=True, cfg_options={"network_def.out_channels": 4})
    with pytest.raises(SegshipError, match="which is not run"):
        load(folder, random_weights=True, cfg_options={"postprocessing.transforms.1.func": "$lambda x : x[2:]"})


def test_another_network_of_monai_needs_monai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = monai("gaussian", tmp_path)
    for module in ("monai", "monai.networks"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SegshipError, match=r"segship\[monai\]"):
        load(folder, cfg_options=["network_def._target_=SegResNet"])


@pytest.mark.slow
def test_all_recorded_predictions_of_nnunet(shared: Path) -> None:
    folder = shared / "reference" / "nnunet"
    recorded = np.load(folder / "predictions.npz")
    for folds in ("0", "012"):
        loaded = load(folder / "nnUNetTrainer__nnUNetPlans__2d", cfg_options={"folds": [int(fold) for fold in folds]})
        assert loaded.tta is not None
        plain = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
        for way, pipeline in (("plain", plain), ("mirror", plain.mirrored(loaded.tta.mirror))):
            for name in ("large", "small", "tall"):
                labels = pipeline.labels(read_image(folder / "images" / f"{name}_0000.png"), "bgr")
                same = (labels == recorded[f"labels_{name}_folds{folds}_{way}"]).mean()
                assert same >= 0.9999, (folds, way, name, same)


def test_all_recorded_predictions_of_monai(shared: Path) -> None:
    folder = shared / "reference" / "monai"
    recorded, loaded = np.load(folder / "predictions.npz"), load(folder / "unet_2d")
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    for name in ("small", "tall", "wide"):
        labels = pipeline.labels(read_image(folder / "images" / f"{name}.png"), "bgr")
        assert (labels == recorded[f"pred_{name}"].T).mean() >= 0.9999


def test_scores_and_labels_of_black_borders_are_background(tmp_path: Path) -> None:
    loaded = load(nnunet("plain", tmp_path, folds=1))
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    image = read_image(NNUNET / "image.png")
    labels, scores = pipeline.labels_and_scores(image, "bgr")
    outside = ~image.any(axis=2)
    assert outside.any()
    assert not labels[outside].any()
    assert (scores[0][outside] == 1).all()
    flipped = pipeline.scores(image, "bgr", flip="horizontal")
    assert (flipped[0][outside[:, ::-1]] == 1).all()
    assert loaded.spec.model_validate(loaded.spec.model_dump()).trims_zeros
