"""The three JSON files of a folder that MMDeploy's runtime opens, from a ModelSpec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship import __version__
from segship.formats.mmdeploy.documents import NETWORK, POSTPROCESS, PREPROCESS, RESIZE_MASK, TASK
from segship.formats.mmdeploy.names import ENGINE
from segship.formats.mmdeploy.transforms import write_transforms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.core.files import FileDigest
    from segship.core.spec import ModelSpec
    from segship.formats.mmdeploy.documents import DeployFile, DetailFile, PipelineFile, Task

__all__ = ["INPUT", "MODEL", "OPSET", "OUTPUT", "deploy_file", "detail_file", "pipeline_file"]

MODEL = "end2end.onnx"
"""Name of the engine's file."""

INPUT, OUTPUT = "input", "output"
"""Names of the graph's input, float32 (N, 3, H, W), and output, int64 (N, 1, H, W)."""

OPSET = 18
"""ONNX operators that ONNX Runtime 1.15 reads, which is inside the last mmdeploy_runtime."""

_VERSION = "1.3.1"


def deploy_file(*, dynamic: bool) -> DeployFile:
    """Return deploy.json: which engine there is, and whether it takes images of any size."""
    return {
        "version": _VERSION,
        "task": TASK,
        "models": [
            {
                "name": "segmentor",
                "net": MODEL,
                "weights": "",
                "backend": ENGINE,
                "precision": "FP32",
                "batch_size": 1,
                "dynamic_shape": dynamic,
            }
        ],
        "customs": [],
    }


def pipeline_file(spec: ModelSpec) -> PipelineFile:
    """Return pipeline.json: what happens to an image, and to the labels that the engine returns.

    Raises:
        UnsupportedError: MMDeploy's runtime does not provide what the network needs.
    """
    preprocess: Task = {
        "type": "Task",
        "module": PREPROCESS,
        "name": "Preprocess",
        "input": ["img"],
        "output": ["prep_output"],
        "transforms": write_transforms(spec),
    }
    network: Task = {
        "name": "segmentor",
        "type": "Task",
        "module": NETWORK,
        "is_batched": False,
        "input": ["prep_output"],
        "output": ["infer_output"],
        "input_map": {"img": INPUT},
        "output_map": {},
    }
    postprocess: Task = {
        "type": "Task",
        "module": POSTPROCESS,
        "name": "postprocess",
        "component": RESIZE_MASK,
        "params": {"num_classes": len(spec.classes), "with_argmax": True},
        "input": ["prep_output", "infer_output"],
        "output": ["post_output"],
    }
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": [preprocess, network, postprocess]}}


def detail_file(spec: ModelSpec, labels_equal: float, origin: Mapping[str, FileDigest]) -> DetailFile:
    """Return detail.json: MMDeploy's account of the conversion, and Segship's under ``segship``.

    Args:
        spec: What the network expects and means.
        labels_equal: The least share of labels, 0-1, that the graph and the network have in common.
        origin: Digest of each file the network comes from, by name.
    """
    return {
        "version": _VERSION,
        "codebase": {"task": "Segmentation", "codebase": "mmseg", "version": None, "pth": None, "config": None},
        "codebase_config": {"type": "mmseg", "task": "Segmentation"},
        "onnx_config": {"type": "onnx", "opset_version": OPSET, "save_file": MODEL},
        "backend_config": {"type": ENGINE},
        "calib_config": {},
        "segship": {
            "version": __version__,
            "spec": spec.model_dump(mode="json"),
            "labels_equal": labels_equal,
            "origin": {name: digest.model_dump() for name, digest in origin.items()},
        },
    }
