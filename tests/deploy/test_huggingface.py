"""Folders of transformers, opened by transformers: its labels are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segship import Source, load_network
from segship.core.errors import InputError, UnsupportedError
from segship.deploy import export_huggingface
from segship.deploy.huggingface import _is_replaceable
from segship.evaluation.network import Eager
from support import fill
from support.trained import META, write_trained

transformers = pytest.importorskip("transformers")

CONFIG = """
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120, 110, 100], std=[60, 61, 62], bgr_to_rgb={rgb}, pad_val=0,
        seg_pad_val=255),
    backbone={backbone},
    decode_head=dict(
        type='UPerHead', in_channels=[16, 32, 64, 128], in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6), channels=24,
        dropout_ratio=0.1, num_classes=4, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict({test_cfg}))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    {resize}
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')]
test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=test_pipeline))
"""
SWIN = "dict(type='SwinTransformer', embed_dims=16, depths=[1, 2, 1, 1], num_heads=[1, 2, 2, 4], window_size=4)"
CONVNEXT = (
    "dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 1, 2, 1], channels=[16, 32, 64, 128]), "
    "out_indices=[0, 1, 2, 3], layer_scale_init_value=1.0, gap_before_final_norm=False)"
)


def trained(
    folder: Path, backbone: str, *, rgb: bool = True, resize: str = "", test_cfg: str = "mode='whole'"
) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    config, checkpoint = folder / "upernet.py", folder / "upernet.pth"
    config.write_text(CONFIG.format(backbone=backbone, rgb=rgb, resize=resize, test_cfg=test_cfg))
    network = fill.fill_network(load_network(config))
    torch.save({"meta": {"dataset_meta": META}, "state_dict": network.state_dict()}, checkpoint)
    return Source(config, checkpoint)


def picture(rows: int, columns: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def labels_of(folder: Path, image: np.ndarray) -> Any:
    """As the library's documentation has it."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.UperNetForSemanticSegmentation.from_pretrained(folder).eval()
    with torch.no_grad():
        outputs = model(**processor(images=image, return_tensors="pt"))
    (mask,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[image.shape[:2]])
    return mask.numpy()


@pytest.mark.parametrize(("backbone", "rgb"), [(SWIN, True), (CONVNEXT, False)], ids=["swin", "convnext, bgr"])
def test_mmsegmentations_upernet_is_theirs(tmp_path: Path, backbone: str, rgb: bool) -> None:
    source = trained(tmp_path, backbone, rgb=rgb)
    assert export_huggingface(source, tmp_path / "out") >= 0.9999
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"config.json", "model.safetensors", "preprocessor_config.json"}
    network, image = Eager(source, None), picture(133, 250)
    assert (labels_of(tmp_path / "out", image) == network(image, channel_order="rgb")).mean() > 0.9999
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert [config["id2label"][str(label)] for label in range(4)] == list(META["classes"])
    assert _is_replaceable(tmp_path / "out")  # by another export
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes.txt|exists|not empty"):
        export_huggingface(source, tmp_path / "out")


def test_a_resize_rule_becomes_the_processors(tmp_path: Path) -> None:
    source = trained(tmp_path, SWIN, resize="dict(type='Resize', scale=(320, 96), keep_ratio=True),")
    equal = export_huggingface(source, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert told["size"] == {"shortest_edge": 96, "longest_edge": 320}
    assert 0.8 < equal < 1  # its filter is another, which is told


@pytest.mark.parametrize("name", ["segformer", "beit"])
def test_a_folder_of_theirs_is_written_back(tmp_path: Path, name: str) -> None:
    from support import hugging

    model, _ = hugging.save(name, tmp_path / "in")
    assert export_huggingface(tmp_path / "in", tmp_path / "out") >= 0.9999
    again = type(model).from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())


def test_what_cannot_be_verified_is_not_written_back(tmp_path: Path) -> None:
    from support import hugging

    hugging.save("eomt-split", tmp_path / "in")
    with pytest.raises(UnsupportedError, match="cuts images up is not written back"):
        export_huggingface(tmp_path / "in", tmp_path / "out")


def test_what_they_have_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"CGNet.*is no network of transformers"):
        export_huggingface(Source(*write_trained(tmp_path / "cgnet")), tmp_path / "out")
    sliding = trained(tmp_path, SWIN, test_cfg="mode='slide', crop_size=(64, 64), stride=(48, 48)")
    with pytest.raises(UnsupportedError, match="the network slides"):
        export_huggingface(sliding, tmp_path / "out")
    assert not (tmp_path / "out").exists()
