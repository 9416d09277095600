"""Models that OpenVINO's Model API opens as ``SegmentationModel``: OpenVINO's format with ``model_info``.

The library hands an image over as it is where the model takes any size, turns its channels round, takes the argmax of
the scores, and resizes the labels to the image: they have its size already. Source: openvino-model-api 0.4,
model_api/models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.core.spec import ModelSpec

__all__ = ["ENGINE", "INPUT", "OUTPUT", "metadata"]

ENGINE = "openvino"
INPUT, OUTPUT = "image", "scores"


def metadata(spec: ModelSpec) -> dict[str, str]:
    """Return what the library reads in the file.

    Args:
        spec: What the network expects and means; the library separates names by spaces, so that theirs become ``_``.
    """
    found = {
        "model_type": "Segmentation",
        "labels": " ".join("_".join(name.split()) for name in spec.classes),
        "reverse_input_channels": "True",  # it is given images as OpenCV reads them
        "resize_type": "standard",
        "blur_strength": "-1",
        "soft_threshold": "inf",
        "return_soft_prediction": "True",
    }
    return {f"model_info.{name}": value for name, value in found.items()}
