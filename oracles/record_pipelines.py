"""Record what the real MMSegmentation feeds a network, and which labels it makes of the network's answer.

Run it in the environment that oracles/record_reference.py describes::

    python oracles/record_pipelines.py tests/references/mmseg_pipelines.npz

The network is replaced by `answer`, a few means of the input, so that only the pipeline, the data preprocessor and the
way back to the image's size are recorded. For each case of ``pipeline_cases.toml`` the file holds the input's shape, a
grid of its values, and a grid of the labels.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

ROOT = Path(__file__).parents[1] / "tests"
CASES = ROOT / "sources" / "mmseg" / "pipeline_cases.toml"
IMAGE = ROOT / "references" / "pipeline" / "street_300x401.png"
CONFIG = "fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py"
GRID = 13


def answer(x: torch.Tensor) -> torch.Tensor:
    """Logits (N, 3, h, w) of an eighth of the input's size, from an input (N, C, H, W)."""
    small = F.avg_pool2d(x, 8, ceil_mode=True)
    mean = small.mean(1, keepdim=True)
    return torch.cat([mean, small[:, -1:] - small[:, :1] + 0.1, -0.5 * mean], 1)


def write_image(kind: str, folder: Path) -> Path:
    """The image of a case: the street itself, or a small part of it with other bands or numbers.

    Args:
        kind: ``"colour"``; or ``"grey"``, ``"grey16"``, ``"colour16"`` or ``"bands4"``.
        folder: Where to write it.
    """
    if kind == "colour":
        return IMAGE
    colour = cv2.imread(str(IMAGE))[60:180, 100:250]
    fourth = cv2.blur(255 - colour[:, :, 1:2], (5, 5))[:, :, None]
    made = {
        "bands4": np.concatenate([colour, fourth], 2),  # OpenCV stores red, green, blue and the fourth
        "colour16": colour.astype(np.uint16) * 200 + 17,
        "grey": colour[:, :, 1],
        "grey16": colour[:, :, 1].astype(np.uint16) * 200 + 17,
    }[kind]
    path = folder / f"{kind}.{'png' if kind == 'grey' else 'tif'}"
    cv2.imwrite(str(path), made, [cv2.IMWRITE_TIFF_COMPRESSION, 1] if path.suffix == ".tif" else [])
    return path


def config_values(case: dict[str, Any]) -> dict[str, Any]:
    """What a case changes in the config: ``test_pipeline`` and the model's preprocessor and align_corners."""
    steps = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in step.items()}
        for step in case["steps"]
    ]
    for step in steps:
        if isinstance(step.get("pad_val"), dict):
            step["pad_val"] = {key: tuple(np.atleast_1d(value).tolist()) for key, value in step["pad_val"].items()}
            step["pad_val"]["seg"] = 255
    return {
        "test_pipeline": [{"type": "LoadImageFromFile", **case.get("load", {})}, *steps, {"type": "PackSegInputs"}],
        "preprocessor": case.get("preprocessor", {}),
        "align_corners": case.get("align_corners", False),
    }


class _NoCompiledOps(types.ModuleType):
    """Stands in for mmcv's compiled operators, which mmcv-lite has not."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def record(case: dict[str, Any]) -> dict[str, np.ndarray]:
    """Run one case."""
    sys.modules["mmcv._ext"] = _NoCompiledOps("mmcv._ext")
    import mmseg
    from mmengine import Config
    from mmseg.apis import inference_model, init_model

    config = Config.fromfile(str(Path(mmseg.__file__).parent / ".mim" / "configs" / CONFIG))
    changes = config_values(case)
    config.test_pipeline = changes["test_pipeline"]
    config.model.data_preprocessor.update(changes["preprocessor"])
    model = init_model(config, None, "cpu")
    model.decode_head.align_corners = model.align_corners = changes["align_corners"]
    seen: list[torch.Tensor] = []

    def encode_decode(x: torch.Tensor, _: Any) -> torch.Tensor:
        seen.append(x)
        return F.interpolate(answer(x), x.shape[2:], mode="bilinear", align_corners=changes["align_corners"])

    model.encode_decode = encode_decode
    with tempfile.TemporaryDirectory() as folder:
        image = write_image(case.get("image", "colour"), Path(folder))
        labels = inference_model(model, str(image)).pred_sem_seg.data[0]
    return {
        "shape": np.array(seen[0].shape),
        "input": seen[0][0, :, ::GRID, ::GRID].numpy(),
        "labels": labels[::3, ::3].numpy().astype(np.uint8),
    }


def main(target: Path) -> None:
    """Record all cases into ``target``."""
    arrays = {}
    for name, case in tomllib.loads(CASES.read_text(encoding="utf-8")).items():
        arrays |= {f"{name}/{key}": value for key, value in record(case).items()}
    np.savez_compressed(target, **arrays)
    print(f"{len(arrays)} arrays -> {target}, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
