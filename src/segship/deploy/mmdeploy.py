"""A folder that MMDeploy's own runtime opens: end2end.onnx, deploy.json, pipeline.json, detail.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from segship import __version__
from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import UnsupportedError, VerificationError
from segship.core.files import replace_directory, require_replaceable
from segship.core.spec import ModelSpec, Resize
from segship.deploy.samples import TRACED, find_samples, verification_inputs
from segship.deploy.shapes import fit, resolve
from segship.vision.upsample import Step, labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Graph
    from segship.core.spec import SizeRule
    from segship.core.target import Target
    from segship.sources import Loaded

__all__ = ["ship_mmdeploy"]

_MODEL, _PIPELINE = "end2end.onnx", "pipeline.json"
_INPUT, _OUTPUT = "input", "output"
# ONNX Runtime 1.15 is inside the last mmdeploy_runtime; this is what it reads.
_OPSET, _IR_VERSION = 18, 9
_LEAST_EQUAL = 0.9999


def ship_mmdeploy(
    load: Callable[[], Loaded],
    out: Path,
    target: Target,
    images: Sequence[str | Path],
    backend: Backend,
    tell: Callable[[str], None],
) -> float:
    """Write the folder, verified; it appears whole or not at all.

    The graph ends in the mask at the network's input size, which the runtime brings to the image's own size by nearest
    neighbours: that is how it works, and differs along borders from the masks of a package of ours.

    Args:
        load: Reads the network.
        out: Folder to write.
        target: fp32 for ONNX Runtime.
        images: Images to verify with, besides the bundled scenes.
        backend: ONNX Runtime's.
        tell: Called with the name of each stage as it begins.

    Returns:
        The least share of equal labels over all inputs.

    Raises:
        SegshipError: The network needs what the runtime has not, or something cannot be converted or verified.
    """
    from segship.networks.session import EagerSession

    require_replaceable(out, _is_folder)
    tell("reading the network")
    loaded = load()
    target = resolve(target, loaded.spec, loaded.network.sizes)
    spec, sizes = fit(loaded.spec, loaded.network.sizes, target.shape)
    pipeline = _pipeline(spec)
    with replace_directory(out, replaceable=_is_folder) as directory:
        tell("capturing the network as a graph")
        graph = _write_graph(loaded, spec, sizes, directory, dynamic=target.shape.static is None)
        tell("comparing the engine with the network")
        eager = EagerSession(loaded.network)
        engine = backend.open(Engine(directory, (_MODEL,), graph.inputs, graph.outputs))
        shares = []
        for _, image in verification_inputs(spec, sizes, find_samples(images), batch=False):
            expected = _masks(eager.run({"image": image})["logits"], image, spec)
            found = np.asarray(engine.run({_INPUT: image})[_OUTPUT])[:, 0]
            shares.append(float((found == expected).mean()))
        if min(shares) < _LEAST_EQUAL:
            raise VerificationError(f"{min(shares):.4%} of the labels are the network's (gate {_LEAST_EQUAL:.2%})")
        _write_json(directory / _PIPELINE, pipeline)
        _write_json(directory / "deploy.json", _deploy(target))
        _write_json(directory / "detail.json", _detail(loaded, spec, shares))
    return min(shares)


def _is_folder(directory: Path) -> bool:
    return (directory / _PIPELINE).is_file()


def _write_graph(loaded: Loaded, spec: ModelSpec, sizes: SizeRule, directory: Path, *, dynamic: bool) -> Graph:
    import onnx

    from segship.capture import CaptureOptions, capture
    from segship.onnxgraph.image.postprocess import end_whole

    path = directory / _MODEL
    options = CaptureOptions(sizes.nearest(*TRACED), spec.channels, dynamic, opset=_OPSET)
    graph = capture(loaded.network, path, options)
    model = onnx.load(path)
    end_whole(model, spec, image=_INPUT, output=_OUTPUT)
    model.ir_version = _IR_VERSION
    onnx.save_model(model, path)
    image = graph.inputs[0]
    mask = TensorInfo(name=_OUTPUT, dtype="int64", shape=(image.shape[0], 1, *image.shape[2:]))
    return type(graph)(path, "onnx", (image.model_copy(update={"name": _INPUT}),), (mask,))


def _masks(logits: NDArray[np.float32], image: NDArray[np.float32], spec: ModelSpec) -> NDArray[Any]:
    size = Step((image.shape[2], image.shape[3]))
    threshold = spec.threshold if spec.output == "sigmoid" else None
    return np.stack([labels(each, [size], align_corners=spec.align_corners, threshold=threshold) for each in logits])


def _pipeline(spec: ModelSpec) -> dict[str, Any]:
    meta = ["img_norm_cfg", "flip", "ori_shape", "img_shape", "pad_shape", "valid_ratio", "scale_factor", "filename"]
    transforms = [
        {"type": "LoadImageFromFile"},
        *_geometry(spec),
        _normalize(spec),
        *_padding(spec),
        {"type": "ImageToTensor", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"], "meta_keys": meta},
    ]
    preprocess = {
        "type": "Task",
        "module": "Transform",
        "name": "Preprocess",
        "input": ["img"],
        "output": ["prep_output"],
        "transforms": transforms,
    }
    network = {
        "name": "segmentor",
        "type": "Task",
        "module": "Net",
        "is_batched": False,
        "input": ["prep_output"],
        "output": ["infer_output"],
        "input_map": {"img": _INPUT},
        "output_map": {},
    }
    postprocess = {
        "type": "Task",
        "module": "mmseg",
        "name": "postprocess",
        "component": "ResizeMask",
        "params": {"num_classes": len(spec.classes), "with_argmax": True},
        "input": ["prep_output", "infer_output"],
        "output": ["post_output"],
    }
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": [preprocess, network, postprocess]}}


def _geometry(spec: ModelSpec) -> list[dict[str, Any]]:
    if spec.slide is not None:
        raise UnsupportedError("MMDeploy's runtime has no sliding windows; this network slides")
    if not all(isinstance(step, Resize) for step in spec.geometry):
        kinds = ", ".join(step.kind for step in spec.geometry)
        raise UnsupportedError(f"MMDeploy's runtime has only Resize for this; the network's preprocessing is {kinds}")
    return [
        {"type": "Resize", "size": [step.width, step.height], "keep_ratio": step.keep_ratio}
        for step in spec.geometry
        if isinstance(step, Resize)
    ]


def _normalize(spec: ModelSpec) -> dict[str, Any]:
    rule = spec.normalization
    to_rgb = rule.channel_order == "rgb"
    return {"type": "Normalize", "mean": list(rule.mean), "std": list(rule.std), "to_rgb": to_rgb}


def _padding(spec: ModelSpec) -> list[dict[str, Any]]:
    if spec.resize_logits != "through_input" and spec.geometry:
        raise UnsupportedError(
            "MMDeploy's runtime decides at the network's input size; "
            "this network's logits go to the image's size at once"
        )
    if spec.padding is not None:
        raise UnsupportedError(
            "MMDeploy's runtime does not cut padding off its masks again: use --shape static-HxW, which needs none"
        )
    return []


def _deploy(target: Target) -> dict[str, Any]:
    model = {
        "name": "segmentor",
        "net": _MODEL,
        "weights": "",
        "backend": "onnxruntime",
        "precision": "FP32",
        "batch_size": 1,
        "dynamic_shape": target.shape.static is None,
    }
    return {"version": "1.3.1", "task": "Segmentor", "models": [model], "customs": []}


def _detail(loaded: Loaded, spec: ModelSpec, shares: list[float]) -> dict[str, Any]:
    return {
        "version": "1.3.1",
        "codebase": {"task": "Segmentation", "codebase": "mmseg", "version": None, "pth": None, "config": None},
        "codebase_config": {"type": "mmseg", "task": "Segmentation"},
        "onnx_config": {"type": "onnx", "opset_version": _OPSET, "save_file": _MODEL},
        "backend_config": {"type": "onnxruntime"},
        "calib_config": {},
        "segship": {
            "version": __version__,
            "spec": spec.model_dump(mode="json"),
            "labels_equal": min(shares),
            "origin": {name: digest.model_dump() for name, digest in loaded.origin.items()},
        },
    }


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
