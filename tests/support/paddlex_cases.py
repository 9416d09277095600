"""What PaddleX's predictor was recorded with: images, rules of the input, and networks; needs no Paddle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_PICTURE = Path(__file__).parents[1] / "references" / "pipeline" / "street_300x401.png"
_IMAGENET: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

RULES: dict[str, list[dict[str, Any]]] = {
    "plain": [{"type": "Normalize"}],
    "kept": [{"type": "Normalize"}, {"type": "Resize", "target_size": [256, 128]}],
    "stretched": [
        {"type": "Resize", "target_size": [200, 152], "keep_ratio": False, "interp": "linear"},
        {"type": "Normalize", **_IMAGENET},
    ],
    "free": [{"type": "Resize", "target_size": [320, 190], "size_divisor": None}, {"type": "Normalize", **_IMAGENET}],
    "number": [{"type": "Resize", "target_size": 160}, {"type": "Normalize", "mean": [0.25] * 3, "std": [0.5] * 3}],
    "twice": [
        {"type": "Resize", "target_size": [96, 96]},
        {"type": "Normalize", **_IMAGENET},
        {"type": "Resize", "target_size": [128, 192], "size_divisor": 16},
        {"type": "Normalize"},
    ],
}
"""Transforms as they stand in ``inference.yml``."""

NETWORKS = {
    "PP-LiteSeg-T": ("plain", "kept"),
    "SegFormer-B0": ("plain", "stretched"),
    "OCRNet_HRNet-W18": ("plain", "free"),
}
"""What PaddleX calls each network, and the rules that its labels are recorded with."""

STRIDE = 16
"""Every so many rows and columns of an input are kept."""


def images() -> dict[str, NDArray[np.uint8]]:
    """Images of three sizes, uint8 (H, W, 3), blue first."""
    picture: Any = cv2.imread(str(_PICTURE))
    parts = {
        "whole": picture,
        "upright": picture[20:281, 150:323],
        "small": picture[100:197, 60:213],
    }
    return {name: np.ascontiguousarray(part) for name, part in parts.items()}
