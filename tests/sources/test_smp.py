"""Networks of segmentation_models_pytorch, against what the library itself made of the same image."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from segship.core.errors import CheckpointError, ConfigError, InputError, UnsafeFileError, UnsupportedError
from segship.core.spec import SizeRule
from segship.deploy import export
from segship.networks.session import EagerSession
from segship.runtime import Segmentor
from segship.runtime.pipeline import Pipeline
from segship.sources import Loaded, find_source, load, sources
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support import fill
from support.commands import PROGRAM
from support.references import REFERENCES

try:
    import segmentation_models_pytorch as smp
    from safetensors.torch import save_file
except (ImportError, RuntimeError) as reason:  # torchvision of another torch raises the second
    pytest.skip(f"segmentation_models_pytorch: {reason}: pip install segship[smp]", allow_module_level=True)

FOLDER = REFERENCES / "smp"
RECORDED = {entry["folder"]: entry for entry in json.loads((FOLDER / "index.json").read_text())}
SMALL = {"encoder_name": "tu-mobilenetv3_small_050", "encoder_weights": None, "decoder_channels": [16, 12, 8, 8, 8]}
LABELS = 0.9999
pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own, of many kinds


def mask(loaded: Loaded, image: Any) -> Any:
    return Pipeline(EagerSession(loaded.network), loaded.spec, SizeRule()).labels(image, "bgr")


def whole(entry: dict[str, Any], folder: Path, config: Path, state: dict[str, list[Any]] | None = None) -> Path:
    """A folder as ``save_pretrained`` leaves it, with the recorded weights."""
    shutil.copy(config, folder / "config.json")
    if state is None:
        values = json.loads(config.read_text())
        made = getattr(smp, values.pop("_model_class"))(**values | {"encoder_weights": None})
        state = {key: [str(value.dtype), list(value.shape)] for key, value in made.state_dict().items()}
    prefix = entry["weights"].split("'")[1]
    weights = {
        key: torch.from_numpy(fill.fill(prefix + key, tuple(shape))) if "float" in kind else torch.zeros(shape)
        for key, (kind, shape) in state.items()
    }
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_mask_equals_the_librarys(name: str, tmp_path: Path) -> None:
    folder = whole(RECORDED[name], tmp_path, FOLDER / f"{name}.json")
    assert find_source(folder) is sources()["smp"]
    found = mask(load(folder), read_image(FOLDER / "dogs_256x160.png"))
    assert (found == np.load(FOLDER / f"{name}.npz")["mask"]).mean() >= LABELS


@pytest.mark.slow
def test_all_recorded_masks_equal_the_librarys(shared: Path, tmp_path: Path) -> None:
    place = shared / "reference" / "smp"
    for entry in json.loads((place / "index.json").read_text()):
        if entry["preprocessing"] == "bands / 255" or entry["parameters"] > 6e6:
            continue
        source = place / entry["folder"]
        folder = tmp_path / entry["folder"]
        folder.mkdir()
        if entry["stored"]:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            whole(entry, folder, source / "config.json", json.loads((source / "state.json").read_text()))
        loaded = load(folder)
        scale = [255 * value for value in entry["preprocessing"]["mean"]]
        np.testing.assert_allclose(loaded.spec.normalization.mean, scale, rtol=1e-6)
        for case in entry["cases"]:
            recorded = np.load(place / entry["file"])[f"mask_{Path(case['image']).stem}"]
            assert (mask(loaded, read_image(place / case["image"])) == recorded).mean() >= LABELS, entry["folder"]
        shutil.rmtree(folder)


def spread(model: Any) -> None:
    """Give a network that nobody trained weights whose classes do not all but tie."""
    state = model.eval().state_dict()
    floats = {key: value for key, value in state.items() if value.is_floating_point()}
    weights = {key: torch.from_numpy(fill.fill(key, tuple(value.shape))) for key, value in floats.items()}
    model.load_state_dict(state | weights)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Any, Path]:
    torch.manual_seed(0)
    model = smp.FPN(
        encoder_name="tu-mobilenetv3_small_050",
        encoder_weights=None,
        classes=3,
        decoder_pyramid_channels=16,
        decoder_segmentation_channels=32,
    )
    spread(model)
    model.save_pretrained(tmp_path / "saved")
    return model, tmp_path / "saved"


def edit(folder: Path, **values: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return folder


def test_a_folder_is_shipped_and_padded_images_give_the_librarys_mask(saved: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = saved
    street = REFERENCES / "pipeline" / "street_300x401.png"
    image = read_image(street)
    package = export(folder, None, tmp_path / "package", cfg_options=["classes=[road,wall,sky]"])
    pixels = smp.encoders.get_preprocessing_fn(SMALL["encoder_name"])(image[:, :, ::-1]).astype(np.float32)
    padded = torch.nn.functional.pad(torch.from_numpy(pixels).permute(2, 0, 1)[None], (0, 416 - 401, 0, 320 - 300))
    with torch.inference_mode():
        theirs = model(padded)[0, :, :300, :401].argmax(0).numpy()
    segmentor = Segmentor(package.path)
    assert (segmentor(street) == theirs).mean() >= LABELS
    assert segmentor.classes == ("road", "wall", "sky")
    assert any("multiples of 32" in note and "padded" in note for note in package.manifest.notes)


def test_an_attention_that_takes_the_last_bit_for_thousands_gives_the_librarys_mask(tmp_path: Path) -> None:
    """MAnet's softmax of products: where weights are random, one rounding more of the image moves boundaries."""
    encoder = SMALL["encoder_name"]
    model = smp.MAnet(**SMALL, classes=4, decoder_pab_channels=16)
    spread(model)
    model.save_pretrained(tmp_path / "saved")
    loaded = load(edit(tmp_path / "saved", encoder_weights="imagenet"))
    image = read_image(FOLDER / "dogs_256x160.png")
    pixels = smp.encoders.get_preprocessing_fn(encoder)(image[:, :, ::-1]).astype(np.float32).transpose(2, 0, 1)[None]
    tensor = prepare(image, loaded.spec).tensor
    np.testing.assert_array_equal(tensor, pixels)
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels))
        assert torch.equal(loaded.network(torch.from_numpy(tensor)), logits)
    np.testing.assert_array_equal(mask(loaded, image), logits[0].argmax(0).numpy())


def test_a_command_does_without_the_compiler_and_writes_the_same_graph(saved: tuple[Any, Path], tmp_path: Path) -> None:
    code = f"{PROGRAM}\nprint('torch._dynamo' in sys.modules)"
    command = [sys.executable, "-c", code, "export", saved[1], tmp_path / "command"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    export(saved[1], None, tmp_path / "library")
    graphs = [(tmp_path / name / "model.onnx").read_bytes() for name in ("command", "library")]
    assert graphs[0] == graphs[1]


def test_what_was_assumed_is_told(saved: tuple[Any, Path]) -> None:
    _, folder = saved
    loaded = load(folder)
    assert loaded.provenance.normalization.kind == "assumed"
    assert any("names no encoder_weights" in note for note in loaded.notes)
    loaded = load(edit(folder, encoder_weights=True))
    assert loaded.provenance.normalization.kind == "read"
    assert load(folder, normalize="unit").spec.normalization.std == (255.0,) * 3


@pytest.mark.parametrize(
    ("encoder", "weights", "mean"),
    [
        ("resnet18", "imagenet", (123.675, 116.28, 103.53)),
        ("dpn68", "imagenet", (124.0, 117.0, 104.0)),
        ("xception", None, (127.5, 127.5, 127.5)),
        ("efficientnet-b0", "advprop", (127.5, 127.5, 127.5)),
        ("timm-tf_efficientnet_lite0", "imagenet", (127.5, 127.5, 127.5)),
        ("timm-mobilenetv3_small_075", "imagenet", (127.5, 127.5, 127.5)),
    ],
)
def test_statistics_are_those_of_the_encoder(encoder: str, weights: str | None, mean: tuple[float, ...]) -> None:
    module = importlib.import_module("segship.sources.smp.statistics")
    found = module.statistics({"encoder_name": encoder, "encoder_weights": weights}, 3, "config.json")
    assert found.normalization.mean == pytest.approx(mean)


@pytest.mark.parametrize(
    ("options", "outputs", "returns", "output"),
    [
        ({"activation": "sigmoid", "classes": 1}, 1, "probabilities", "sigmoid"),
        ({"activation": "softmax", "classes": 3}, 3, "probabilities", "softmax"),
        ({"activation": "sigmoid", "classes": 3}, 3, "probabilities", "softmax"),
        ({"activation": "logsoftmax", "classes": 3}, 3, "logits", "softmax"),
        ({"classes": 1, "aux_params": {"classes": 4, "dropout": 0.5}}, 1, "logits", "sigmoid"),
        ({"classes": 2, "in_channels": 5, "encoder_depth": 3, "decoder_channels": [8, 8, 8]}, 2, "logits", "softmax"),
        ({"classes": 2, "decoder_use_norm": False, "decoder_interpolation": "bilinear"}, 2, "logits", "softmax"),
    ],
)
def test_a_small_description_and_weights_are_a_network(
    options: dict[str, Any], outputs: int, returns: str, output: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = smp.Unet(**SMALL | options).eval()
    # A training script wraps the network, as Lightning does.
    torch.save(
        {"state_dict": {f"model.{key}": value for key, value in model.state_dict().items()}}, tmp_path / "last.ckpt"
    )
    (tmp_path / "net.yaml").write_text(yaml.safe_dump({"architecture": "Unet"} | SMALL | options))
    loaded = load(tmp_path / "net.yaml", tmp_path / "last.ckpt", normalize="unit")
    assert (loaded.spec.returns, loaded.spec.output) == (returns, output)
    image = torch.rand(2, options.get("in_channels", 3), 90, 70)
    with torch.inference_mode():
        theirs = model(image)
        ours = loaded.network(image)
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    assert ours.shape[1] == outputs
    same = (
        theirs.log_softmax(1).softmax(1) - ours.softmax(1)
        if options.get("activation") == "logsoftmax"
        else theirs - ours
    )
    assert same.abs().max() < 1e-6


def test_names_of_classes_are_their_number(tmp_path: Path) -> None:
    described = {"architecture": "Unet"} | SMALL | {"classes": ["road", "wall", "sky"], "normalization": "unit"}
    (tmp_path / "net.yml").write_text(yaml.safe_dump(described))
    loaded = load(tmp_path / "net.yml", random_weights=True)
    assert loaded.spec.classes == ("road", "wall", "sky")
    assert loaded.provenance.normalization.where.startswith("net.yml")
    assert loaded.provenance.random_weights


def test_sizes_are_those_the_network_takes(tmp_path: Path) -> None:
    def sizes(**values: Any) -> tuple[SizeRule, Any]:
        (tmp_path / "net.json").write_text(json.dumps({"encoder_weights": None, "classes": 3} | values))
        loaded = load(tmp_path / "net.json", random_weights=True)
        return loaded.network.sizes, loaded.spec

    small = {"encoder_name": "tu-lcnet_050"}
    assert sizes(_model_class="Unet", **small)[0] == SizeRule()
    assert sizes(_model_class="PSPNet", **small)[0] == SizeRule(multiple_of=8)
    pan = sizes(_model_class="PAN", **small)
    assert pan[0].multiple_of == 16
    assert pan[0].minimum[0] > 16
    assert (pan[1].padding.height, pan[1].padding.multiple_of) == (pan[0].minimum[0], 16)
    fixed = sizes(_model_class="DPT", encoder_name="tu-vit_tiny_patch16_224", decoder_fusion_channels=8,
                  decoder_intermediate_channels=[8, 8, 8, 8])  # fmt: skip
    assert fixed[0] == SizeRule(fixed=(224, 224))
    assert (fixed[1].geometry[0].height, fixed[1].geometry[0].width) == (224, 224)


def test_nothing_is_fetched_and_nothing_runs(saved: tuple[Any, Path], tmp_path: Path) -> None:
    _, folder = saved
    for name in ("tu-hf-hub:someone/network", "tu-local-dir:/tmp/x", "tu-../x"):
        with pytest.raises(UnsafeFileError, match="fetched from elsewhere"):
            load(edit(folder, encoder_name=name))
    edit(folder, encoder_name="tu-mobilenetv3_small_050")
    for name in ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "pretrained"):
        copy = shutil.copytree(folder, tmp_path / name)
        with pytest.raises(ConfigError, match=f"no option '{name}'"):
            load(edit(copy, **{name: str(tmp_path)}))
    assert "no option 'cache_dir'" in load(tmp_path / "cache_dir", ignore_unknown=True).notes[-1]
    with pytest.raises(UnsupportedError, match="activation is 'argmax'"):
        load(edit(folder, activation="argmax"))


def test_mistakes_are_one_line_each(saved: tuple[Any, Path], tmp_path: Path) -> None:
    _, folder = saved
    with pytest.raises(ConfigError, match=r"no option 'decoder_dropot'.* Did you mean 'decoder_dropout'"):
        load(folder, cfg_options=["decoder_dropot=0.1"])
    with pytest.raises(ConfigError, match="does not take this FPN"):
        load(folder, cfg_options=["encoder_name=resnet19"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="encoder_weights is 'imagenett', but resnet18 has imagenet"):
        load(folder, cfg_options=["encoder_name=resnet18", "encoder_weights=imagenett"], random_weights=True)
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        load(folder)
    with pytest.raises(ConfigError, match="classes is 0"):
        load(folder, cfg_options=["classes=0"], random_weights=True)
    with pytest.raises(ConfigError, match="more than 1048576"):
        load(folder, cfg_options=["decoder_pyramid_channels=10000000000"], random_weights=True)
    with pytest.raises(ConfigError, match=r"nothing says how the input .* is normalised"):
        load(folder, cfg_options=["in_channels=4"], random_weights=True)
    torch.save({"encoder.model.conv_stem.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError, match="is not of this network"):
        load(folder, tmp_path / "wrong.pth")
