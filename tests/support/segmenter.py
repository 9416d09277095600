"""What Segmenter writes beside a checkpoint."""

from __future__ import annotations

VARIANT = {
    "net_kwargs": {
        "backbone": "vit_tiny_patch16", "image_size": [64, 64], "patch_size": 16, "d_model": 64, "n_heads": 1,
        "n_layers": 1, "n_cls": 19, "decoder": {"name": "linear"},
    },
    "dataset_kwargs": {"dataset": "cityscapes"},
    "inference_kwargs": {"window_size": 64, "window_stride": 48},
}  # fmt: skip
