"""Configs whose base files import units instead of naming them, as those in ``mmseg/configs`` do."""

from __future__ import annotations

from pathlib import Path

import torch

from segship.core.spec import ModelSpec
from segship.models.segmentor import EncoderDecoder
from segship.reading.configs.config import read_config
from segship.sources.mmseg.build import build_network
from segship.sources.mmseg.spec import build_spec

DATA = """
from mmcv.transforms.loading import LoadImageFromFile
from mmcv.transforms.processing import (RandomFlip, Resize,
                                        TestTimeAug)
from mmengine.dataset.sampler import DefaultSampler
from mmseg.datasets.ade import ADE20KDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs

dataset_type = ADE20KDataset
test_pipeline = [
    dict(type=LoadImageFromFile),
    dict(type=Resize, scale=(2048, 512), keep_ratio=True),
    dict(type=LoadAnnotations, reduce_zero_label=True),
    dict(type=PackSegInputs)
]
tta_pipeline = [dict(type=TestTimeAug, transforms=[
    [dict(type=Resize, scale_factor=r, keep_ratio=True) for r in [0.5, 1.0]],
    [dict(type=RandomFlip, prob=0.), dict(type=RandomFlip, prob=1.)]])]
val_dataloader = dict(batch_size=1, sampler=dict(type=DefaultSampler, shuffle=False),
                      dataset=dict(type=dataset_type, pipeline=test_pipeline))
test_dataloader = val_dataloader
"""
MODEL = """
from torch.nn import SyncBatchNorm as SyncBN
from mmseg.models.backbones import CGNet
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.decode_heads import FCNHead
from mmseg.models.segmentors import EncoderDecoder

norm_cfg = dict(type=SyncBN, eps=1e-03)
data_preprocessor = dict(type=SegDataPreProcessor, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True)
model = dict(
    type=EncoderDecoder,
    data_preprocessor=data_preprocessor,
    backbone=dict(type=CGNet, norm_cfg=norm_cfg, num_channels=(8, 16, 32), num_blocks=(2, 2)),
    decode_head=dict(type=FCNHead, in_channels=64, in_index=2, channels=16, num_convs=1, concat_input=False,
                     num_classes=19, norm_cfg=norm_cfg),
    test_cfg=dict(mode='whole'))
"""
SCHEDULE = """
from torch.optim.sgd import SGD
from mmengine.optim.optimizer.optimizer_wrapper import OptimWrapper
from mmengine.runner.loops import TestLoop

optimizer = dict(type=SGD, lr=0.01)
optim_wrapper = dict(type=OptimWrapper, optimizer=optimizer, clip_grad=None)
test_cfg = dict(type=TestLoop)
"""
FIRST = """
from mmengine.config import read_base

with read_base():
    from .._base_.datasets.data import *
    from .._base_.models.model import *
    from .._base_.schedules.schedule import *

from torch.optim.adamw import AdamW

optimizer.update(dict(type=AdamW, lr=0.0001))
optim_wrapper.merge(dict(_delete_=True, type=OptimWrapper, optimizer=optimizer))
model.update(data_preprocessor=data_preprocessor, decode_head=dict(num_classes=150))
"""
SECOND = """
from mmengine.config import read_base

with read_base():
    from .first import *

norm_cfg.update(dict(type=SyncBN, eps=0.001, requires_grad=True))
model.update(dict(type=EncoderDecoder, backbone=dict(num_channels=(8, 8, 16)), decode_head=dict(
    type=FCNHead, in_channels=32, norm_cfg=norm_cfg)))
val_dataloader.update(batch_size=2)
"""


def write(folder: Path) -> Path:
    for name, text in {
        "_base_/datasets/data.py": DATA,
        "_base_/models/model.py": MODEL,
        "_base_/schedules/schedule.py": SCHEDULE,
        "cgnet/first.py": FIRST,
        "cgnet/second.py": SECOND,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "cgnet"


def read(path: Path) -> tuple[EncoderDecoder, ModelSpec]:
    values = read_config(path).values
    network = build_network(values["model"])
    return network, build_spec(values, network, {})[0]


def test_network_and_contract_are_those_of_the_chain_of_files(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (first, spec), (second, same) = read(folder / "first.py"), read(folder / "second.py")
    assert spec.architecture == "EncoderDecoder(CGNet, FCNHead)"
    assert (spec.normalization.mean, spec.normalization.channel_order) == ((1, 2, 3), "rgb")
    assert [step.kind for step in spec.geometry] == ["resize"]
    assert (len(spec.classes), spec.classes[0], spec.reduce_zero_label) == (150, "wall", True)
    assert spec == same
    assert first.get_submodule("decode_head.convs.0.conv").in_channels == 64
    assert second.get_submodule("decode_head.convs.0.conv").in_channels == 32


def test_network_is_the_one_that_an_old_style_config_describes(tmp_path: Path) -> None:
    folder = write(tmp_path)
    norm = {"type": "SyncBN", "eps": 1e-3}
    old = {
        "type": "EncoderDecoder",
        "backbone": {"type": "CGNet", "norm_cfg": norm, "num_channels": (8, 16, 32), "num_blocks": (2, 2)},
        "decode_head": {
            "type": "FCNHead",
            "in_channels": 64,
            "in_index": 2,
            "channels": 16,
            "num_convs": 1,
            "concat_input": False,
            "num_classes": 150,
            "norm_cfg": norm,
        },
    }
    network, _ = read(folder / "first.py")
    network.load_state_dict(build_network(old).state_dict())
    assert network(torch.zeros(1, 3, 32, 32)).shape[1] == 150
