"""A small network as MMSegmentation would leave it behind: a config, and a checkpoint as its training writes one."""

from __future__ import annotations

from pathlib import Path

import torch

from support import fill

CONFIG = """
norm_cfg = dict(type='SyncBN', eps=1e-03, requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120, 110, 100], std=[60, 61, 62], bgr_to_rgb=True, pad_val=0,
        seg_pad_val=255),
    backbone=dict(
        type='CGNet', norm_cfg=norm_cfg, in_channels=3, num_channels=(8, 16, 32), num_blocks=(1, 1),
        dilations=(2, 4), reductions=(4, 4)),
    decode_head=dict(
        type='FCNHead', in_channels=64, in_index=2, channels=64, num_convs=0, concat_input=False, dropout_ratio=0,
        num_classes=4, norm_cfg=norm_cfg, align_corners=False, loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict({test_cfg}))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 96), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')]
test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=test_pipeline))
"""

META = {
    "classes": ("road", "wall", "tree", "sky"),
    "palette": [[128, 64, 128], [70, 70, 70], [0, 120, 0], [70, 130, 180]],
}


def write_trained(folder: Path, *, test_cfg: str = "mode='whole'") -> tuple[Path, Path]:
    """Write config and checkpoint; the weights are made from their key names, so they are the same everywhere."""
    from segship import load_network  # so that tests without torch can import this module's constants

    folder.mkdir(parents=True, exist_ok=True)
    config, checkpoint = folder / "small.py", folder / "small.pth"
    config.write_text(CONFIG.format(test_cfg=test_cfg))
    network = fill.fill_network(load_network(config))
    torch.save(
        {"meta": {"dataset_meta": META}, "state_dict": network.state_dict(), "optimizer": {"lr": 0.1}}, checkpoint
    )
    return config, checkpoint
