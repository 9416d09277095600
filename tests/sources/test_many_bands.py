"""Networks of six bands and of one, from config and checkpoint to masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segship import ModelSpec, export, load_network
from segship.evaluation import evaluate
from segship.reading.description import read_description
from segship.runtime import Segmentor, predict
from segship.sources import load
from segship.vision.palette import write_mask_png
from support import fill

DEEPLAB = """
norm = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean={mean}, std={std}, bgr_to_rgb={flip}),
    backbone=dict(type='ResNetV1c', depth=18, in_channels={bands}, base_channels=8, stem_channels=8, norm_cfg=norm,
        num_stages=4, out_indices=(0, 1, 2, 3), dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), contract_dilation=True),
    decode_head=dict(type='DepthwiseSeparableASPPHead', in_channels=64, in_index=3, channels=8, dilations=(1, 2, 3, 4),
        c1_in_channels=8, c1_channels=4, num_classes=4, norm_cfg=norm))
test_pipeline = [dict(type='{loader}'{options}), dict(type='Resize', scale=(64, 48)), dict(type='PackSegInputs')]
"""
UNET = """
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1000.], std=[500.]),
    backbone=dict(type='UNet', in_channels=1, base_channels=4, norm_cfg=dict(type='BN')),
    decode_head=dict(type='FCNHead', in_channels=4, in_index=4, channels=4, num_convs=1, concat_input=False,
        num_classes=3, norm_cfg=dict(type='BN')))
test_pipeline = [dict(type='LoadSingleRSImageFromFile'), dict(type='PackSegInputs')]
"""


def write(folder: Path, text: str) -> tuple[Path, Path]:
    config = folder / "config.py"
    config.write_text(text)
    network = fill.fill_network(load_network(config))
    torch.save({"state_dict": network.state_dict()}, folder / "weights.pth")
    return config, folder / "weights.pth"


def six(loader: str = "LoadSingleRSImageFromFile", options: str = "", *, flip: bool = False, bands: int = 6) -> str:
    numbers = [100.0 * (band + 1) for band in range(bands)]
    return DEEPLAB.format(mean=numbers, std=numbers, bands=bands, flip=flip, loader=loader, options=options)


@pytest.mark.parametrize(
    ("loader", "options"),
    [
        ("LoadSingleRSImageFromFile", ""),
        ("LoadImageFromFile", ", color_type='unchanged', imdecode_backend='tifffile', to_float32=True"),
    ],
)
def test_configs_say_that_bands_are_stored(tmp_path: Path, loader: str, options: str) -> None:
    (tmp_path / "config.py").write_text(six(loader, options))
    spec = load(tmp_path / "config.py", random_weights=True).spec
    assert (spec.pixels, spec.channels) == ("multispectral", 6)


def test_a_pipeline_that_loads_photographs_for_six_bands_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(six("LoadImageFromFile"))
    with pytest.raises(Exception, match=r"6 channels.*loads 3.*LoadSingleRSImageFromFile"):
        load(tmp_path / "config.py", random_weights=True)


def test_turned_bands_are_turned_within_the_network(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(six(flip=True, bands=3))
    loaded = load(tmp_path / "config.py", random_weights=True)
    assert loaded.spec.normalization.mean == (300, 200, 100)
    alone = load_network(tmp_path / "config.py")
    alone.load_state_dict(loaded.network.get_submodule("network").state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(loaded.network(x), alone(x.flip(1)))


@pytest.mark.slow
def test_six_bands_of_deeplab_from_file_to_mask(tmp_path: Path) -> None:
    config, checkpoint = write(tmp_path, six())
    image = (np.random.default_rng(0).random((40, 56, 6)) * 1000).astype(np.uint16)
    np.save(tmp_path / "scene.npy", image)
    package = export(config, checkpoint, tmp_path / "package", images=[tmp_path / "scene.npy"])
    assert any(check.image == "scene.npy" for check in package.manifest.checks)
    segmentor = Segmentor(package.path)

    x = torch.from_numpy(np.moveaxis(image.astype(np.float32), 2, 0))[None]
    x = torch.nn.functional.interpolate(x, (48, 64), mode="bilinear")
    numbers = torch.arange(100.0, 700.0, 100.0)[:, None, None]
    with torch.inference_mode():
        logits = load_network(config, checkpoint)((x - numbers) / numbers)
    expected = torch.nn.functional.interpolate(logits, (40, 56), mode="bilinear").argmax(1)[0].numpy()
    assert (segmentor(image) == expected).mean() > 0.999
    assert (segmentor(tmp_path / "scene.npy") == expected).mean() > 0.999

    write_mask_png(tmp_path / "labels" / "scene.png", segmentor(image), segmentor.spec.palette)
    assert evaluate(segmentor, [(tmp_path / "scene.npy", tmp_path / "labels" / "scene.png")]).scores.aAcc == 100
    predict(segmentor, [tmp_path / "scene.npy"], tmp_path / "masks")
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"scene.png", "scene_overlay.jpg", "index.jsonl"}


@pytest.mark.slow
def test_one_band_of_sixteen_bits_keeps_its_numbers(tmp_path: Path) -> None:
    config, checkpoint = write(tmp_path, UNET)
    package = export(config, checkpoint, tmp_path / "package")
    image = np.random.default_rng(0).integers(0, 4000, (32, 48), np.uint16)
    with torch.inference_mode():
        x = (torch.from_numpy(image.astype(np.float32))[None, None] - 1000) / 500
        expected = load_network(config, checkpoint)(x).argmax(1)[0].numpy()
    assert (Segmentor(package.path)(image) == expected).mean() > 0.999


@pytest.mark.slow
def test_a_grey_mean_of_colours_is_part_of_the_exported_network(tmp_path: Path) -> None:
    steps = "dict(type='LoadImageFromFile'), dict(type='RGB2Gray', out_channels=1),"
    grey = UNET.replace("dict(type='LoadSingleRSImageFromFile'),", steps)
    config, checkpoint = write(tmp_path, grey.replace("mean=[1000.], std=[500.]", "mean=[100.], std=[50.]"))
    package = export(config, checkpoint, tmp_path / "package")
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)  # red first
    mean = image @ np.array([0.114, 0.587, 0.299])  # weights are of blue, green, red
    with torch.inference_mode():
        x = (torch.from_numpy(mean.astype(np.float32))[None, None] - 100) / 50
        expected = load_network(config, checkpoint)(x).argmax(1)[0].numpy()
    assert (Segmentor(package.path)(image) == expected).mean() > 0.999


def test_what_version_0_1_called_stored_is_still_understood() -> None:
    values = {"source": "x", "architecture": "x", "classes": ("a", "b"), "palette": ((0, 0, 0), (1, 1, 1))}
    assert ModelSpec.model_validate(values | {"pixels": "stored"}).pixels == "multispectral"
    assert read_description({"pixels": "stored"}).pixels == "multispectral"
    with pytest.raises(ValueError, match="'uint8' or 'multispectral'"):
        ModelSpec.model_validate(values | {"pixels": "bytes"})
