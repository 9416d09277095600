"""Record what the real mmcv and mmsegmentation make of small images, for ``tests/vision/test_preprocess.py``.

Run with an interpreter that has mmsegmentation 1.2.2 and mmcv (or mmcv-lite) installed:

    python oracles/record_preprocess.py tests/vision/references
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
RESIZE = {"kind": "resize", "width": 60, "height": 40, "keep_ratio": True}

# Name -> image size (height, width), geometry and the rest as fields of our ModelSpec.
CASES: dict[str, dict[str, Any]] = {
    "plain_rgb": {"size": (20, 31), "order": "rgb"},
    "plain_bgr": {"size": (20, 31), "order": "bgr"},
    "resize_up_keep_ratio": {"size": (20, 31), "geometry": [RESIZE]},
    "resize_down_keep_ratio_portrait": {"size": (101, 67), "geometry": [RESIZE]},
    "resize_to_a_size": {"size": (33, 47), "geometry": [{**RESIZE, "keep_ratio": False}]},
    "shortest_edge": {"size": (50, 37), "geometry": [{"kind": "resize_shortest_edge", "size": 24, "max_size": 100}]},
    "shortest_edge_limited": {
        "size": (20, 77),
        "geometry": [{"kind": "resize_shortest_edge", "size": 24, "max_size": 60}],
    },
    "pad_to_multiple": {"size": (20, 31), "geometry": [{"kind": "pad", "multiple_of": 16, "value": [7, 8, 9]}]},
    "resize_then_pad_to_size": {
        "size": (20, 31),
        "geometry": [RESIZE, {"kind": "pad", "height": 50, "width": 64, "value": [114]}],
    },
    "padding_divisor": {"size": (20, 31), "padding": {"multiple_of": 32}},
    "padding_size": {"size": (20, 31), "padding": {"height": 24, "width": 24, "value": 1.5}},
}

# Sizes alone, of many image sizes.
RULES: dict[str, dict[str, Any]] = {
    "keep_ratio_2048x512": {"kind": "resize", "width": 2048, "height": 512, "keep_ratio": True},
    "keep_ratio_480x360": {"kind": "resize", "width": 480, "height": 360, "keep_ratio": True},
    "shortest_512_2048": {"kind": "resize_shortest_edge", "size": 512, "max_size": 2048},
    "shortest_640_800": {"kind": "resize_shortest_edge", "size": 640, "max_size": 800},
}


def image(height: int, width: int) -> np.ndarray:
    """A picture with edges and texture, of a formula that the test repeats."""
    y, x, channel = np.ogrid[:height, :width, :3]
    return ((37 * y + 61 * x + 101 * channel + (y // 5) * (x // 7) * 43) % 256).astype(np.uint8)


def transform(step: dict[str, Any]) -> dict[str, Any]:
    """One of our geometry steps as an mmcv or mmseg transform."""
    if step["kind"] == "resize":
        return {"type": "Resize", "scale": (step["width"], step["height"]), "keep_ratio": step["keep_ratio"]}
    if step["kind"] == "resize_shortest_edge":
        return {"type": "ResizeShortestEdge", "scale": step["size"], "max_size": step["max_size"]}
    value = tuple(step["value"]) if len(step["value"]) > 1 else step["value"][0]
    size = {"size_divisor": step["multiple_of"]} if "multiple_of" in step else {"size": (step["width"], step["height"])}
    return {"type": "Pad", "pad_val": {"img": value, "seg": 255}, **size}


def run_steps(steps: list[dict[str, Any]], picture: np.ndarray) -> np.ndarray:
    """What the transforms make of a picture."""
    from mmseg.registry import TRANSFORMS

    results = {"img": picture, "img_shape": picture.shape[:2], "ori_shape": picture.shape[:2]}
    for step in steps:
        results = TRANSFORMS.build(transform(step))(results)
    return results["img"]


def tensor(case: dict[str, Any]) -> np.ndarray:
    """What the test pipeline and the data preprocessor hand to the network."""
    import torch
    from mmseg.models import SegDataPreProcessor
    from mmseg.structures import SegDataSample

    padding = case.get("padding", {})
    test_cfg = {}
    if "multiple_of" in padding:
        test_cfg = {"size_divisor": padding["multiple_of"]}
    elif padding:
        test_cfg = {"size": (padding["height"], padding["width"])}
    prepare = SegDataPreProcessor(
        mean=MEAN,
        std=STD,
        bgr_to_rgb=case.get("order", "rgb") == "rgb",
        pad_val=padding.get("value", 0),
        test_cfg=test_cfg or None,
    )
    pixels = np.ascontiguousarray(run_steps(case.get("geometry", []), image(*case["size"])).transpose(2, 0, 1))
    data = {"inputs": [torch.from_numpy(pixels)], "data_samples": [SegDataSample()]}
    return prepare(data, training=False)["inputs"].numpy()


def sizes(step: dict[str, Any]) -> list[list[int]]:
    """Height and width before and after, of many images."""
    random = np.random.default_rng(0)
    found = []
    for height, width in random.integers(16, 3000, (60, 2)).tolist():
        picture = np.zeros((height, width), np.uint8)
        found.append([height, width, *run_steps([step], picture).shape[:2]])
    return found


def main(folder: Path) -> None:
    """Write preprocess.npz and preprocess.json to the folder."""
    fake = types.ModuleType("mmcv._ext")  # preprocessing needs none of the compiled operators
    fake.__file__ = __file__
    fake.__getattr__ = lambda _name: lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    sys.modules.setdefault("mmcv._ext", fake)
    from mmseg.utils import register_all_modules

    register_all_modules()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "preprocess.npz", **{name: tensor(case) for name, case in CASES.items()})
    index = {"mean": MEAN, "std": STD, "cases": CASES, "rules": RULES}
    index["sizes"] = {name: sizes(step) for name, step in RULES.items()}
    (folder / "preprocess.json").write_text(json.dumps(index) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
