"""Models that Deepness opens, the plugin of QGIS: a square ONNX file with what it shall do in its metadata.

The plugin cuts a map into tiles, divides their bytes by 255, subtracts a mean and divides by a deviation, sets scores
below a threshold to zero, and takes the argmax. So the graph takes numbers of 0-1 and does all the rest itself.
Source: github.com/PUTvision/qgis-plugin-deepness, src/deepness/processing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.core.spec import ModelSpec

__all__ = ["INPUT", "OUTPUT", "metadata"]

INPUT, OUTPUT = "input", "output"
_OVERLAP = 15  # percent: what the plugin begins with
_COLOURS = 3


def metadata(spec: ModelSpec, side: int) -> dict[str, str]:
    """Return what the plugin reads in the file.

    The ground resolution is not among it, since no network says it: the plugin asks for it.

    Args:
        spec: What the network expects and means; its own windows say how much tiles overlap.
        side: Of the tiles, in pixels.
    """
    overlap = _OVERLAP if spec.slide is None else round(100 * (1 - spec.slide.stride[1] / spec.slide.crop[1]))
    found = {
        "model_type": "Segmentor",
        "class_names": {str(label): name for label, name in enumerate(spec.classes)},
        "tile_size": side,
        "tiles_overlap": overlap,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0] * _COLOURS,
        "standardization_std": [1.0] * _COLOURS,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items()}
