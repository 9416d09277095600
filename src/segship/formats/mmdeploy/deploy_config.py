"""MMDeploy's deploy configs: which engine, precision and shape they ask for. Read as data, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError
from segship.core.target import Target
from segship.formats.mmdeploy.names import ENGINE
from segship.reading.configs.config import read_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_target"]

_ENGINES = {"default": ENGINE, "sdk": ENGINE}


def read_target(path: Path) -> Target:
    """Return the target that a deploy config of MMDeploy asks for.

    Args:
        path: A ``.py`` file, and what its ``_base_`` names.

    Raises:
        ConfigError: It is not a deploy config for segmentation, or cannot be read as data.
    """
    values = read_config(path).values
    backend = _mapping(values.get("backend_config"))
    codebase = _mapping(values.get("codebase_config")).get("type")
    if codebase not in {None, "mmseg"} or not (backend or "onnx_config" in values or "ir_config" in values):
        raise ConfigError(f"{path} is not a deploy config of MMDeploy for segmentation: it has no backend_config")
    name = str(backend.get("type", "default"))
    precision = _precision(backend)
    text = _ENGINES.get(name, name) + ("" if precision == "fp32" else f"-{precision}")
    target = Target.parse(f"{text}_{_shape(values, backend)}")
    workspace = _mapping(backend.get("common_config")).get("max_workspace_size")
    if not isinstance(workspace, int):
        return target
    return target.model_copy(update={"options": {"workspace": max(1, workspace >> 20)}})  # from bytes to MiB


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _precision(backend: Mapping[str, Any]) -> str:
    common = _mapping(backend.get("common_config"))
    if common.get("int8_mode") or _mapping(backend.get("quantization_config")).get("do_quantization"):
        return "int8"
    if common.get("fp16_mode"):
        return "fp16"
    if backend.get("type") == "rknn":
        return "fp16"  # what its engines compute in when they are not quantised
    named = str(backend.get("precision", "fp32")).lower()
    return named if named in {"fp16", "int8"} else "fp32"


def _shape(values: Mapping[str, Any], backend: Mapping[str, Any]) -> str:
    bounds = _bounds(backend)
    if bounds is not None:
        low, high = bounds
        return f"static-{low}" if low == high else f"dynamic-{low}-{high}"
    graph = _mapping(values.get("onnx_config")) or _mapping(values.get("ir_config"))
    kind = "dynamic" if graph.get("dynamic_axes") or backend.get("type") in {"sdk", "torchscript"} else "static"
    size = graph.get("input_shape")  # (width, height)
    return f"{kind}-{size[1]}x{size[0]}" if isinstance(size, (list, tuple)) and len(size) == 2 else kind  # noqa: PLR2004


def _bounds(backend: Mapping[str, Any]) -> tuple[str, str] | None:
    """TensorRT's least and greatest input, as HxW."""
    inputs = backend.get("model_inputs")
    first = _mapping(inputs[0]) if isinstance(inputs, (list, tuple)) and inputs else {}
    shapes = _mapping(_mapping(first.get("input_shapes")).get("input"))
    least, greatest = shapes.get("min_shape"), shapes.get("max_shape")
    if least is None or greatest is None:
        return None
    return f"{least[2]}x{least[3]}", f"{greatest[2]}x{greatest[3]}"
