"""What a server of tensors is told of a model that takes an image and returns its mask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from segship.core.errors import UnsupportedError

if TYPE_CHECKING:
    from segship.core.artifacts import TensorInfo
    from segship.core.manifest import Manifest

__all__ = ["kserve_service", "openvino_config", "require_embedded", "triton_config"]

# The names under which each server knows an engine and its file.
_TRITON = {".onnx": ("onnxruntime", "model.onnx"), ".xml": ("openvino", "model.xml")}
_TYPES = {"uint8": "TYPE_UINT8", "uint16": "TYPE_UINT16", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}
_FREE = -1


def require_embedded(manifest: Manifest) -> None:
    """Check that the engine alone takes an image and returns its mask, since these servers do nothing beside it.

    Args:
        manifest: Of the package.

    Raises:
        UnsupportedError: It does not, or these servers have no such engine.
    """
    suffix = _suffix(manifest)
    if suffix not in _TRITON:
        raise UnsupportedError(
            "Triton and OpenVINO Model Server open ONNX and OpenVINO files, and this package holds "
            f"{suffix or 'others'}: export it for onnxruntime or openvino"
        )
    if set(manifest.embed) != {"pre", "post"}:
        raise UnsupportedError(
            "the server runs the engine alone, without what prepares the image and decides the mask: export the "
            "package with --embed pre,post"
        )


def triton_config(manifest: Manifest, name: str) -> str:
    """The config.pbtxt of a model repository of Triton.

    Args:
        manifest: Of a package that `require_embedded` takes.
        name: Of the model.

    Returns:
        Its text. Source: github.com/triton-inference-server/server, docs/user_guide/model_configuration.md.
    """
    backend, _ = _TRITON[_suffix(manifest)]
    lines = [
        f"name: {json.dumps(name)}",
        f"backend: {json.dumps(backend)}",
        f"default_model_filename: {json.dumps(next(iter(manifest.files)))}",
        "max_batch_size: 0",
        *_tensor("input", manifest.inputs[0]),
        *_tensor("output", manifest.outputs[0], 'label_filename: "labels.txt"'),
        "instance_group [ { kind: KIND_CPU } ]",
    ]
    return "\n".join(lines) + "\n"


def _tensor(kind: str, info: TensorInfo, *more: str) -> list[str]:
    dims = ", ".join(str(side if isinstance(side, int) else _FREE) for side in info.shape)
    fields = [f"name: {json.dumps(info.name)}", f"data_type: {_TYPES[info.dtype]}", f"dims: [ {dims} ]", *more]
    return [f"{kind} [", "  {", *(f"    {field}" for field in fields), "  }", "]"]


def openvino_config(name: str) -> str:
    """The config.json of OpenVINO Model Server, which finds the models beside it.

    Args:
        name: Of the model.

    Returns:
        Its text. Source: github.com/openvinotoolkit/model_server, docs/models_repository.md.
    """
    config = {"model_config_list": [{"config": {"name": name, "base_path": f"/models/{name}"}}]}
    return json.dumps(config, indent=2) + "\n"


def kserve_service(manifest: Manifest, name: str) -> str:
    """An InferenceService of KServe that runs Triton on a repository that lies where ``storageUri`` says.

    Args:
        manifest: Of a package that `require_embedded` takes.
        name: Of the model.

    Returns:
        YAML. Source: github.com/kserve/kserve, docs of the Triton serving runtime.
    """
    return f"""apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name.lower().replace("_", "-").replace(".", "-")}
spec:
  predictor:
    model:
      modelFormat:
        name: {"onnx" if _suffix(manifest) == ".onnx" else "openvino"}
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://models/{name}  # where the folder `repository` was copied to
      resources:
        requests: {{cpu: "1", memory: 1Gi}}
        limits: {{cpu: "2", memory: 2Gi}}
"""


def _suffix(manifest: Manifest) -> str:
    first = next(iter(manifest.files), "")
    return first[first.rfind(".") :] if "." in first else ""
