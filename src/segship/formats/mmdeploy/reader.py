"""Folders that MMDeploy made: deploy.json, pipeline.json, detail.json and the engine, read as data."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segship.backends import find_file_backend
from segship.core.errors import PackageError, UnsupportedError
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.spec import ModelSpec, Normalization, Pad, Padding, Resize, SizeRule
from segship.core.target import Shape, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segship.core.artifacts import Engine, TensorInfo
    from segship.core.spec import GeometryStep
    from segship.core.target import Precision
    from segship.datasets.class_names import Naming

__all__ = ["is_sdk_folder", "read_sdk_folder"]

_DEPLOY, _PIPELINE, _DETAIL = "deploy.json", "pipeline.json", "detail.json"
_MAXIMUM_BYTES = 4 * 2**20
_ENGINES = ("onnxruntime", "openvino")
_AGAIN = "export the checkpoint again, with segship export CONFIG CHECKPOINT OUT"
_NOTHING = frozenset(
    {
        "LoadImageFromFile",
        "LoadImageFromNDArray",
        "LoadAnnotations",
        "ImageToTensor",
        "DefaultFormatBundle",
        "PackSegInputs",
        "Collect",
    }
)
_IMAGE_RANK = 4
_SCORES_AXIS = 1

_Text = TypeVar("_Text", bound="_Lenient")


class _Lenient(BaseModel):
    """A record of MMDeploy's, of which only what matters here is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Model(_Lenient):
    net: str
    weights: str = ""
    backend: str
    precision: str = "FP32"
    name: str = "segmentor"


class _Deploy(_Lenient):
    task: str
    models: tuple[_Model, ...] = Field(min_length=1, max_length=1)


class _Task(_Lenient):
    module: str = ""
    component: str = ""
    transforms: tuple[dict[str, Any], ...] = ()
    params: dict[str, Any] = {}
    input_map: dict[str, str] = {}


class _Tasks(_Lenient):
    tasks: tuple[_Task, ...]


class _Pipeline(_Lenient):
    pipeline: _Tasks


def is_sdk_folder(path: Path) -> bool:
    """Whether ``path`` is a folder with the files by which MMDeploy's runtime knows one."""
    return (path / _DEPLOY).is_file() and (path / _PIPELINE).is_file()


def read_sdk_folder(folder: Path, naming: Naming) -> Manifest:
    """What a folder of MMDeploy's says, as a manifest.

    Args:
        folder: With deploy.json, pipeline.json and what they name.
        naming: Names of the classes, which these files do not hold.

    Raises:
        PackageError: The folder is damaged, or names files outside itself.
        UnsupportedError: It does what is not provided here; the message names it.
    """
    deploy, pipeline = _read(folder / _DEPLOY, _Deploy), _read(folder / _PIPELINE, _Pipeline).pipeline
    if deploy.task != "Segmentor":
        raise UnsupportedError(f"{folder} is a folder of MMDeploy for the task {deploy.task!r}, expected 'Segmentor'")
    model = deploy.models[0]
    if model.backend not in _ENGINES:
        raise UnsupportedError(
            f"{folder} holds an engine of {model.backend}; of MMDeploy's folders, those of {' and '.join(_ENGINES)} "
            f"are opened: {_AGAIN}"
        )
    names = [name for name in (model.net, model.weights) if name]
    paths = [_inside(folder, name) for name in names]
    engine, _ = find_file_backend(model.backend).inspect(paths[0])
    image, output = _ends(folder, engine, pipeline)
    preprocess, post = _task(folder, pipeline, "Transform"), _task(folder, pipeline, "mmseg")
    sizes = _sizes(image)
    spec, notes = _spec(folder, model, preprocess, post, (image, output), naming)
    return Manifest(
        spec=spec,
        target=Target(backend=model.backend, precision=_precision(model.precision), shape=_shape(sizes)),
        inputs=(image,),
        outputs=(output,),
        sizes=sizes,
        files={name: digest(path) for name, path in zip(names, paths, strict=True)},
        options={**engine.options, **({"precision": _precision(model.precision)} if model.weights else {})},
        origin={name: digest(folder / name) for name in (_DEPLOY, _PIPELINE)},
        notes=notes,
    )


def _read(path: Path, kind: type[_Text]) -> _Text:
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise PackageError(f"{path} is larger than {_MAXIMUM_BYTES} bytes: not a file of MMDeploy's")
    try:
        return kind.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PackageError(f"{path} is not what MMDeploy writes: {where!r}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is not JSON ({error}): the folder is damaged") from None


def _inside(folder: Path, name: str) -> Path:
    """The file called ``name``, which lies in ``folder`` and is no way out of it."""
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or ":" in name:
        raise PackageError(f"{folder} names a file outside itself ({name!r}): do not use it")
    path = folder / inside
    if not path.is_file():
        raise PackageError(f"{folder} is incomplete: {name} is missing")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PackageError(f"{folder} holds a link to a file outside itself ({name}): do not use it")
    return path


def _task(folder: Path, pipeline: _Tasks, module: str) -> _Task:
    found = [task for task in pipeline.tasks if task.module == module]
    if len(found) != 1:
        every = ", ".join(task.module for task in pipeline.tasks)
        raise UnsupportedError(f"{folder / _PIPELINE} has the tasks {every}; expected Transform, Net and mmseg")
    if module == "mmseg" and found[0].component != "ResizeMask":
        raise UnsupportedError(f"{folder / _PIPELINE} ends in {found[0].component!r}, expected 'ResizeMask'")
    return found[0]


def _ends(folder: Path, engine: Engine, pipeline: _Tasks) -> tuple[TensorInfo, TensorInfo]:
    """The input that takes the image, and the output."""
    wanted = _task(folder, pipeline, "Net").input_map.get("img")
    images = [tensor for tensor in engine.inputs if wanted is None or tensor.name == wanted]
    if len(images) != 1 or len(images[0].shape) != _IMAGE_RANK or images[0].dtype != "float32":
        raise UnsupportedError(f"{folder}: its engine takes {_shown(engine.inputs)}; expected one float32 image")
    if len(engine.outputs) != 1 or len(engine.outputs[0].shape) != _IMAGE_RANK:
        raise UnsupportedError(f"{folder}: its engine returns {_shown(engine.outputs)}; expected labels or scores")
    return images[0], engine.outputs[0]


def _shown(tensors: tuple[TensorInfo, ...]) -> str:
    every = (f"{tensor.name}: {tensor.dtype} ({', '.join(map(str, tensor.shape))})" for tensor in tensors)
    return "; ".join(every) or "nothing"


def _sizes(image: TensorInfo) -> SizeRule:
    batch, _, height, width = image.shape
    only = batch if isinstance(batch, int) else None
    if isinstance(height, int) and isinstance(width, int):
        return SizeRule(fixed=(height, width), batch=only)
    return SizeRule(batch=only)


def _shape(sizes: SizeRule) -> Shape:
    return Shape() if sizes.fixed is None else Shape.only(*sizes.fixed)


def _precision(text: str) -> Precision:
    known = {"FP32": "fp32", "FP16": "fp16", "INT8": "int8"}
    return cast("Precision", known.get(text.upper(), "fp32"))


def _spec(
    folder: Path, model: _Model, preprocess: _Task, post: _Task, ends: tuple[TensorInfo, TensorInfo], naming: Naming
) -> tuple[ModelSpec, tuple[str, ...]]:
    geometry, normalization, padding = _read_transforms(folder, preprocess.transforms)
    output = ends[1]
    scores = not output.is_whole
    declared = post.params.get("num_classes")
    count = output.shape[_SCORES_AXIS] if scores else declared
    count = declared if not isinstance(count, int) else count
    names, palette, notes = _noted(folder, count) or naming.classes(count if isinstance(count, int) else None, folder)
    if scores and output.shape[_SCORES_AXIS] == 1:
        raise UnsupportedError(f"{folder}: its engine returns one score for each pixel, expected labels or classes")
    if scores and isinstance(count, int) and count != len(names):
        raise UnsupportedError(f"{folder}: its engine returns {count} scores, but there are {len(names)} classes")
    spec = ModelSpec(
        source="mmdeploy",
        architecture=str(post.params.get("type") or model.name),
        classes=names,
        palette=palette,
        geometry=geometry,
        normalization=normalization,
        padding=padding,
        align_corners=bool(post.params.get("align_corners", False)),
        reduce_zero_label=naming.reduce_zero_label,
    )
    if spec.channels != ends[0].shape[1] and isinstance(ends[0].shape[1], int):
        raise UnsupportedError(f"{folder}: its engine takes {ends[0].shape[1]} channels, Normalize {spec.channels}")
    if not scores:
        notes = (
            *notes,
            "The engine returns labels at its input's size; they are resized by nearest neighbours, as MMDeploy does",
        )
    return spec, notes


def _noted(
    folder: Path, count: Any
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...], tuple[str, ...]] | None:
    """Classes and colours that Segship noted in a folder it wrote itself, where they fit."""
    path = folder / _DETAIL
    if not path.is_file() or path.stat().st_size > _MAXIMUM_BYTES:
        return None
    try:
        spec = ModelSpec.model_validate(json.loads(path.read_bytes())["segship"]["spec"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return (spec.classes, spec.palette, ()) if count in {None, len(spec.classes)} else None


class _Reader:
    """Goes through the transforms of a pipeline, in order."""

    def __init__(self, folder: Path) -> None:
        self._where = folder / _PIPELINE
        self.geometry: list[GeometryStep] = []
        self.normalization: Normalization | None = None
        self.padding: Padding | None = None

    def read(self, transform: Mapping[str, Any]) -> None:
        """Take over what one transform does."""
        name = str(transform.get("type"))
        known: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "Resize": self._resize,
            "Normalize": self._normalize,
            "Pad": self._pad,
            "RandomFlip": self._flip,
        }
        if name in known:
            known[name](transform)
        elif name not in _NOTHING:
            self.refuse(f"the transform {name!r} is not provided")
        elif transform.get("color_type", "color") not in {"color", "color_ignore_orientation"}:
            self.refuse(f"images are loaded as {transform['color_type']!r}, which is not provided")

    def refuse(self, why: str) -> None:
        """Raise the error that says why this folder cannot be opened."""
        raise UnsupportedError(f"{self._where}: {why}: {_AGAIN}")

    def _resize(self, transform: Mapping[str, Any]) -> None:
        if self.normalization is not None:
            self.refuse("the image is resized after it is normalised, which is not provided")
        if transform.get("interpolation", "bilinear") != "bilinear":
            self.refuse(f"the image is resized by {transform['interpolation']!r}, expected bilinear")
        width, height = self._pair(transform, "size", "scale")
        self.geometry.append(Resize(width=width, height=height, keep_ratio=bool(transform.get("keep_ratio", False))))

    def _pair(self, transform: Mapping[str, Any], *keys: str) -> tuple[int, int]:
        """(width, height), the first of the keys that is given."""
        size = next((transform[key] for key in keys if transform.get(key) is not None), None)
        pair = [size, size] if isinstance(size, int) else size
        whole = isinstance(pair, list) and len(pair) == 2 and all(isinstance(side, int) and side > 0 for side in pair)  # noqa: PLR2004
        if not whole:
            self.refuse(f"{transform.get('type')} has the size {size!r}, expected [width, height]")
        return cast("tuple[int, int]", tuple(cast("list[int]", pair)))

    def _normalize(self, transform: Mapping[str, Any]) -> None:
        if self.normalization is not None or transform.get("to_float", True) is not True:
            self.refuse("the image is normalised twice, or left as bytes, which is not provided")
        order: Literal["rgb", "bgr"] = "rgb" if transform.get("to_rgb", True) else "bgr"
        mean, std = transform.get("mean"), transform.get("std")
        try:
            self.normalization = Normalization.model_validate({"channel_order": order, "mean": mean, "std": std})
        except ValidationError:
            self.refuse(f"Normalize has mean {mean!r:.60} and std {std!r:.60}, expected a number for each channel")

    def _pad(self, transform: Mapping[str, Any]) -> None:
        value = transform.get("pad_val", 0)
        value = value.get("img", 0) if isinstance(value, dict) else value
        multiple = transform.get("size_divisor") or transform.get("divisor")
        if transform.get("pad_to_square") or not isinstance(value, (int, float)):
            self.refuse("Pad makes the image square or has a value for each channel, which is not provided")
        sides: dict[str, Any] = {"multiple_of": multiple}
        if not isinstance(multiple, int) or multiple < 1:
            width, height = self._pair(transform, "size")
            sides = {"width": width, "height": height}
        if self.normalization is None:
            self.geometry.append(Pad(**sides, value=(float(value),), crop=True))
        else:
            self.padding = Padding(**sides, value=float(value))

    def _flip(self, transform: Mapping[str, Any]) -> None:
        if transform.get("prob") or transform.get("flip_ratio") or transform.get("flip"):
            self.refuse("the image is flipped, which is not provided")


def _read_transforms(
    folder: Path, transforms: tuple[dict[str, Any], ...]
) -> tuple[tuple[GeometryStep, ...], Normalization, Padding | None]:
    reader = _Reader(folder)
    for transform in transforms:
        reader.read(transform)
    if reader.normalization is None:
        raise UnsupportedError(f"{folder / _PIPELINE}: there is no Normalize, so that mean and std are not known")
    return tuple(reader.geometry), reader.normalization, reader.padding
