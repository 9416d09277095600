"""Models that Ultralytics' tools open: ONNX with the metadata that its own exports carry.

They take an image of one size in 0-1, and return scores at that size. Source: ultralytics 8.4, engine/exporter.py and
nn/autobackend.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.versions import module_versions

if TYPE_CHECKING:
    from segship.core.spec import ModelSpec

__all__ = ["INPUT", "OUTPUT", "metadata"]

INPUT, OUTPUT = "images", "output0"
_STRIDE = 32
_COLOURS = 3


def metadata(spec: ModelSpec, side: int) -> dict[str, str]:
    """Return what Ultralytics reads in the file: each value as Python would print it.

    Args:
        spec: What the network expects and means.
        side: Of the images, in pixels.
    """
    found = {
        "description": spec.architecture,
        "author": "Segship",
        "version": module_versions(["segship"])["segship"],
        "task": "semantic",
        "stride": _STRIDE,
        "batch": 1,
        "channels": _COLOURS,
        "imgsz": [side, side],
        "names": dict(enumerate(spec.classes)),
        "args": {"batch": 1, "dynamic": False, "half": False, "int8": False, "nms": False},
    }
    return {name: str(value) for name, value in found.items()}
