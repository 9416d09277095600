"""Record a folder that MMDeploy itself writes, and the masks its runtime makes with it, for the tests.

Run it in an environment of its own that has mmsegmentation 1.2.2 and MMDeploy 1.3.1 (``pip install mmengine
mmcv-lite==2.1.0 mmsegmentation==1.2.2 mmdeploy==1.3.1 onnx ftfy regex``); PYTHON is another (3.11) with
mmdeploy_runtime 1.3.1. Nothing of Segship is imported but the weights' rule, ``tests/support/fill.py``::

    python oracles/record_mmdeploy.py PYTHON [--to tests/references/mmdeploy]

The network is a narrow FCN, so that the folder stays small.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import fill

ROOT = Path(__file__).parents[1]

CONFIG = """
norm_cfg = dict(type="BN", requires_grad=True)
data_preprocessor = dict(type="SegDataPreProcessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                         bgr_to_rgb=True, pad_val=0, seg_pad_val=255)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=data_preprocessor,
    backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, num_stages=3, out_indices=(0, 1, 2),
                  strides=(1, 2, 2), dilations=(1, 1, 1), norm_cfg=norm_cfg),
    decode_head=dict(type="FCNHead", in_channels=32, channels=16, num_convs=1, num_classes=5, in_index=2,
                     norm_cfg=norm_cfg, align_corners=False),
    test_cfg=dict(mode="whole"))
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(160, 96), keep_ratio=True),
                 dict(type="PackSegInputs")]
test_dataloader = dict(dataset=dict(type="CityscapesDataset", pipeline=test_pipeline))
"""
AXES = {0: "batch", 2: "height", 3: "width"}
DEPLOY = {
    "onnx_config": {
        "type": "onnx",
        "export_params": True,
        "keep_initializers_as_inputs": False,
        "opset_version": 11,
        "save_file": "end2end.onnx",
        "input_names": ["input"],
        "output_names": ["output"],
        "input_shape": None,
        "dynamic_axes": {"input": AXES, "output": AXES},
    },
    "codebase_config": {"type": "mmseg", "task": "Segmentation", "with_argmax": True},
    "backend_config": {"type": "onnxruntime"},
}
SIZES = ((96, 160), (64, 96), (77, 131), (191, 319))
MASKS = """
import sys, numpy
from mmdeploy_runtime import Segmentor
images, segmentor = numpy.load(sys.argv[2]), Segmentor(model_path=sys.argv[1], device_name="cpu")
masks = {name: numpy.asarray(segmentor(images[name])).astype(numpy.uint8) for name in images.files}
numpy.savez_compressed(sys.argv[3], **masks)
"""


def let_mmdeploy_run() -> None:
    """MMDeploy 1.3.1 beside packages of today: no compiled mmcv, torch's older exporter, whole checkpoints."""
    extension: Any = types.ModuleType("mmcv._ext")
    extension.__getattr__ = lambda _: None
    sys.modules["mmcv._ext"] = extension
    import mmengine.model.utils

    mmengine.model.utils.mmcv_full_available = lambda: False
    export, load = torch.onnx.export, torch.load
    torch.onnx.export = lambda *given, **options: export(*given, **options, dynamo=False)
    torch.load = lambda *given, **options: load(*given, **{**options, "weights_only": False})


def images() -> dict[str, np.ndarray]:
    """Soft random pictures, uint8 BGR, by the name of their size."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return {f"{rows}x{columns}": cv2.resize(pixels, (columns, rows)) for rows, columns in SIZES}


def main() -> None:
    """Convert the network, and run the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("--to", type=Path, default=ROOT / "tests" / "references" / "mmdeploy")
    options = parser.parse_args()
    let_mmdeploy_run()
    from mmdeploy.apis import torch2onnx
    from mmdeploy.backend.sdk.export_info import export2SDK
    from mmengine import Config
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules()
    to = options.to.resolve()
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):  # detail.json tells the paths as they are given
        scratch = Path(name)
        config, weights = Path("config.py"), Path("weights.pth")
        config.write_text(CONFIG)
        network = MODELS.build(Config.fromfile(config).model).eval()
        fill.fill_network(network)
        torch.save({"state_dict": network.state_dict()}, weights)
        pictures = images()
        # Each call changes the configs it is given.
        export2SDK(Config(DEPLOY), Config.fromfile(config), work_dir=str(to), pth=str(weights), device="cpu")
        first = next(iter(pictures.values()))
        folder, deploy, model = str(to), Config(DEPLOY), Config.fromfile(config)
        torch2onnx(first, folder, "end2end.onnx", deploy, model, str(weights), device="cpu")
        np.savez(scratch / "images.npz", **pictures)
        masks = str(to / "masks.npz")
        subprocess.run([options.python, "-c", MASKS, folder, str(scratch / "images.npz"), masks], check=True)


if __name__ == "__main__":
    main()
