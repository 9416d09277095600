"""Modules of the user's own: named without --trust, built by the installed MMSegmentation with it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from segship.core.errors import UnsupportedError
from segship.deploy import export
from segship.sources import load

MODULE = """
import torch
from torch import nn
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

@MODELS.register_module(force=True)
class MyHead(BaseDecodeHead):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = nn.Conv2d(self.in_channels, self.channels, 3, padding=1)

    def forward(self, inputs):
        return self.cls_seg(torch.relu(self.conv(self._transform_inputs(inputs))))
"""
CONFIG = """
custom_imports = dict(imports=['my_heads'], allow_failed_imports=False)
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True),
    backbone=dict(type='CGNet', norm_cfg=norm_cfg, num_channels=(8, 16, 32), num_blocks=(1, 1)),
    decode_head=dict(type='MyHead', in_channels=64, in_index=2, channels=8, num_classes=3))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32)), dict(type='PackSegInputs')]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def framework() -> None:
    try:
        importlib.import_module("mmseg.models")
    except Exception:  # noqa: BLE001  (an installation that is half there fails in many ways)
        pytest.skip("no MMSegmentation can be imported here: pip install onedl-mmsegmentation")


def test_unknown_modules_are_named_with_the_way_out(config: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no decode head is called 'MyHead'.*--trust builds it"):
        load(config)


def test_where_the_framework_is_missing_the_pip_line_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmengine.registry", None)
    with pytest.raises(UnsupportedError, match="pip install onedl-mmsegmentation"):
        load(config, trust=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trusted_modules_are_built_and_exported(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    framework()
    (tmp_path / "my_heads.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = load(config, trust=True, random_weights=True).network
    weights = {
        key.removeprefix("module.model."): torch.full_like(value, 0.01) for key, value in network.state_dict().items()
    }
    torch.save({"state_dict": weights}, tmp_path / "weights.pth")
    loaded = load(config, tmp_path / "weights.pth", trust=True)
    assert (loaded.spec.architecture, loaded.network.num_classes) == ("EncoderDecoder(CGNet, MyHead)", 3)
    assert torch.equal(loaded.network.state_dict()["module.model.decode_head.conv.bias"], torch.full((8,), 0.01))
    package = export(config, tmp_path / "weights.pth", tmp_path / "package", trust=True)
    assert package.manifest.spec.source == "mmseg"
