"""The three JSON files of a folder of MMDeploy's: their names and fields, for the reader and the writer.

Source: MMDeploy 1.3.1, ``mmdeploy/backend/sdk/export_info.py``. Fields that are neither read nor written here are left
out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypedDict, TypeVar

from segship.core.errors import PackageError, validation_line
from segship.core.mistakes import ValidationError
from segship.core.validation import Bound, reader_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEPLOY",
    "DETAIL",
    "NETWORK",
    "PIPELINE",
    "POSTPROCESS",
    "PREPROCESS",
    "RESIZE_MASK",
    "TASK",
    "DeployFile",
    "DetailFile",
    "Model",
    "PipelineFile",
    "Task",
    "Transform",
    "is_mmdeploy_folder",
    "read_deploy",
    "read_detail",
    "read_pipeline",
    "write_json",
]

DEPLOY, PIPELINE, DETAIL = "deploy.json", "pipeline.json", "detail.json"
TASK = "Segmentor"
PREPROCESS, NETWORK, POSTPROCESS = "Transform", "Net", "mmseg"
"""Modules of the three tasks of a pipeline."""
RESIZE_MASK = "ResizeMask"
"""The component that brings labels or scores to the image's size."""

_MAXIMUM_BYTES = 4 * 2**20


class Model(TypedDict):
    """An engine, in deploy.json."""

    name: NotRequired[str]
    net: Annotated[str, Bound(least=1)]
    weights: NotRequired[str]
    backend: str
    precision: NotRequired[str]
    batch_size: NotRequired[int]
    dynamic_shape: NotRequired[bool]


class DeployFile(TypedDict):
    """deploy.json."""

    version: NotRequired[str]
    task: str
    models: Annotated[list[Model], Bound(least=1, most=1)]
    customs: NotRequired[list[Any]]


class Transform(TypedDict, total=False):
    """One step of preprocessing, with the arguments of all kinds of steps; others are kept, to be refused."""

    type: str
    color_type: Any
    size: Any
    scale: Any
    keep_ratio: Any
    interpolation: Any
    mean: Any
    std: Any
    to_rgb: Any
    to_float: Any
    size_divisor: Any
    divisor: Any
    pad_val: Any
    pad_to_square: Any
    prob: Any
    flip_ratio: Any
    flip: Any
    keys: list[str]
    meta_keys: list[str]


class Task(TypedDict, total=False):
    """One stage of the pipeline."""

    type: str
    module: str
    name: str
    component: str
    is_batched: bool
    transforms: list[Transform]
    params: dict[str, Any]
    input: list[str]
    output: list[str]
    input_map: dict[str, str]
    output_map: dict[str, str]


class _Pipeline(TypedDict):
    input: NotRequired[list[str]]
    output: NotRequired[list[str]]
    tasks: list[Task]


class PipelineFile(TypedDict):
    """pipeline.json."""

    pipeline: _Pipeline


class DetailFile(TypedDict, total=False):
    """detail.json; MMDeploy's runtime does not read it."""

    version: str
    codebase: dict[str, Any]
    codebase_config: dict[str, Any]
    onnx_config: dict[str, Any]
    backend_config: dict[str, Any]
    calib_config: dict[str, Any]
    segship: dict[str, Any]


_Document = TypeVar("_Document")


def is_mmdeploy_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder with the files by which MMDeploy's runtime knows one."""
    return (path / DEPLOY).is_file() and (path / PIPELINE).is_file()


def read_deploy(folder: Path) -> DeployFile:
    """Return what deploy.json says.

    Raises:
        PackageError: It is damaged, or not what MMDeploy writes.
    """
    return _read(folder / DEPLOY, DeployFile)


def read_pipeline(folder: Path) -> PipelineFile:
    """Return what pipeline.json says.

    Raises:
        PackageError: It is damaged, or not what MMDeploy writes.
    """
    return _read(folder / PIPELINE, PipelineFile)


def read_detail(folder: Path) -> Any:
    """Return the JSON value of detail.json; None where it is missing, damaged, or larger than any."""
    path = folder / DETAIL
    if not path.is_file() or path.stat().st_size > _MAXIMUM_BYTES:
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def write_json(path: Path, data: DeployFile | PipelineFile | DetailFile) -> None:
    """Write one of the files."""
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _read(path: Path, kind: type[_Document]) -> _Document:
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise PackageError(f"{path} is larger than {_MAXIMUM_BYTES} bytes: not a file of MMDeploy's")
    try:
        document: _Document = reader_of(kind)(json.loads(path.read_bytes()))
    except ValidationError as error:
        raise PackageError(f"{path} is not what MMDeploy writes: {validation_line(error)}") from None
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is not JSON ({error}): the folder is damaged") from None
    return document
