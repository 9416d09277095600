"""Folders that MMDeploy made: deploy.json, pipeline.json, detail.json and the engine, read as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.backends import backends, find_file_backend
from segship.core.errors import PackageError, UnsupportedError
from segship.core.files import digest, file_inside
from segship.core.manifest import Manifest
from segship.core.provenance import Provenance, assumed, default, read
from segship.core.spec import ModelSpec, SizeRule
from segship.core.target import Shape, Target
from segship.datasets.class_names import Classes
from segship.formats.mmdeploy.documents import (
    DEPLOY,
    DETAIL,
    NETWORK,
    PIPELINE,
    POSTPROCESS,
    PREPROCESS,
    RESIZE_MASK,
    TASK,
    read_deploy,
    read_detail,
    read_pipeline,
)
from segship.formats.mmdeploy.transforms import AGAIN, read_transforms

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import Engine, TensorInfo
    from segship.core.target import Precision
    from segship.datasets.class_names import ClassNames
    from segship.formats.mmdeploy.documents import Model, Task

__all__ = ["read_mmdeploy_folder"]

_IMAGE_RANK = 4
_SCORES_AXIS = 1
_GREY, _PHOTOGRAPH = 1, 3
_MOST_CLASSES = 2**16  # masks have no more labels
_PRECISIONS: dict[str, Precision] = {"FP32": "fp32", "FP16": "fp16", "INT8": "int8"}
_NEAREST = "The engine returns labels at its input's size; they are resized by nearest neighbours, as MMDeploy does"


def read_mmdeploy_folder(folder: Path, naming: ClassNames) -> Manifest:
    """Return what a folder of MMDeploy's says, as a manifest.

    Args:
        folder: With deploy.json, pipeline.json and what they name.
        naming: Names of the classes, which these files do not hold.

    Raises:
        PackageError: The folder is damaged, or names files outside itself.
        UnsupportedError: It does what is not provided here; the message names it.
    """
    model, tasks = _model(folder), read_pipeline(folder)["pipeline"]["tasks"]
    names = [name for name in (model["net"], model.get("weights", "")) if name]
    paths = [file_inside(folder, name) for name in names]
    engine, _ = find_file_backend(model["backend"]).inspect(paths[0])
    image, output = _ends(folder, engine, _task(folder, tasks, NETWORK))
    preprocess, post = _task(folder, tasks, PREPROCESS), _task(folder, tasks, POSTPROCESS)
    precision = _PRECISIONS.get(model.get("precision", "FP32").upper(), "fp32")
    sizes = _sizes(image)
    classes, palette, notes = _classes(folder, post, output, naming)
    geometry, normalization, padding = read_transforms(preprocess.get("transforms", []), folder / PIPELINE)
    _require_photographs(folder, image, len(normalization.mean))
    params = post.get("params", {})
    spec = ModelSpec(
        source="mmdeploy",
        architecture=str(params.get("type") or model.get("name", "segmentor")),
        classes=classes,
        palette=palette,
        geometry=geometry,
        normalization=normalization,
        padding=padding,
        align_corners=_align_corners(folder, params),
        reduce_zero_label=naming.reduce_zero_label,
    )
    return Manifest(
        spec=spec,
        target=Target(backend=model["backend"], precision=precision, shape=_shape(sizes)),
        inputs=(image,),
        outputs=(output,),
        sizes=sizes,
        files={name: digest(path) for name, path in zip(names, paths, strict=True)},
        options={**engine.options, **({"precision": precision} if len(names) > 1 else {})},
        origin={name: digest(folder / name) for name in (DEPLOY, PIPELINE)},
        notes=(*notes, _NEAREST) if output.is_whole else notes,
        provenance=_provenance(folder, spec, preprocess, naming),
    )


def _provenance(folder: Path, spec: ModelSpec, preprocess: Task, naming: ClassNames) -> Provenance:
    """The place of each value of ``spec``."""
    told = {str(step.get("type")): step for step in preprocess.get("transforms", [])}
    if _noted(folder, len(spec.classes)) is not None:
        classes = read(f"{DETAIL}: segship.spec")
    elif naming.names or naming.layout:
        classes = read("the names that were given")
    else:
        classes = assumed(f"nothing in {DEPLOY} and {PIPELINE} names them")
    order = told["Normalize"].get("to_rgb")
    return Provenance(
        channel_order=default("MMDeploy gives RGB") if order is None else read(f"{PIPELINE}: Normalize.to_rgb"),
        normalization=read(f"{PIPELINE}: Normalize.mean"),
        size_rule=read(f"{PIPELINE}: Resize") if spec.geometry else default("MMDeploy resizes only what it is told to"),
        padding=default("MMDeploy pads only what it is told to") if spec.padding is None else read(f"{PIPELINE}: Pad"),
        inference=default("MMDeploy shows the network the whole image"),
        output=read(f"{PIPELINE}: {POSTPROCESS}"),
        threshold=default("MMDeploy takes the greatest score"),
        classes=classes,
        palette=classes if classes.kind == "read" else default("made for as many classes"),
    )


def _model(folder: Path) -> Model:
    """The engine that deploy.json names."""
    deploy = read_deploy(folder)
    if deploy["task"] != TASK:
        raise UnsupportedError(f"{folder} is a folder of MMDeploy for the task {deploy['task']!r}, expected {TASK!r}")
    model = deploy["models"][0]
    engines = [name for name, backend in backends().items() if backend.INFO.mmdeploy]
    if model["backend"] not in engines:
        raise UnsupportedError(
            f"{folder} holds an engine of {model['backend']}; of MMDeploy's folders, those of {' and '.join(engines)} "
            f"are opened: {AGAIN}"
        )
    return model


def _task(folder: Path, tasks: list[Task], module: str) -> Task:
    found = [task for task in tasks if task.get("module") == module]
    if len(found) != 1:
        every = ", ".join(task.get("module", "") for task in tasks)
        raise UnsupportedError(
            f"{folder / PIPELINE} has the tasks {every}; expected {PREPROCESS}, {NETWORK} and {POSTPROCESS}"
        )
    component = found[0].get("component", "")
    if module == POSTPROCESS and component != RESIZE_MASK:
        raise UnsupportedError(f"{folder / PIPELINE} ends in {component!r}, expected {RESIZE_MASK!r}")
    return found[0]


def _ends(folder: Path, engine: Engine, network: Task) -> tuple[TensorInfo, TensorInfo]:
    """The input that takes the image, and the output."""
    wanted = network.get("input_map", {}).get("img")
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


def _require_photographs(folder: Path, image: TensorInfo, wanted: int) -> None:
    """Require that the engine takes the channels that are normalised, and that their order is known."""
    channels = image.shape[1]
    if wanted != channels and isinstance(channels, int):
        raise UnsupportedError(f"{folder}: its engine takes {channels} channels, Normalize {wanted}")
    if wanted not in {_GREY, _PHOTOGRAPH}:
        raise UnsupportedError(
            f"{folder}: its network takes {wanted} bands, of which these files do not say the order in a file: {AGAIN}"
        )


def _align_corners(folder: Path, params: dict[str, Any]) -> bool:
    value = params.get("align_corners") or False
    if not isinstance(value, bool):
        raise PackageError(f"{folder / PIPELINE}: align_corners is {value!r:.40}, expected true or false")
    return value


def _classes(folder: Path, post: Task, output: TensorInfo, naming: ClassNames) -> Classes:
    """The classes that Segship noted in a folder of its own, else those that are told."""
    declared = _declared(folder, post)
    returned = declared if output.is_whole else output.shape[_SCORES_AXIS]
    count = returned if isinstance(returned, int) else declared
    classes = _noted(folder, count) or naming.classes(count, folder)
    if output.is_whole:
        return classes
    if returned == 1:
        raise UnsupportedError(f"{folder}: its engine returns one score for each pixel, expected labels or classes")
    if count not in {None, len(classes.names)}:
        raise UnsupportedError(
            f"{folder}: its engine returns {count} scores, but there are {len(classes.names)} classes"
        )
    return classes


def _declared(folder: Path, post: Task) -> int | None:
    """How many classes the pipeline says there are."""
    declared = post.get("params", {}).get("num_classes")
    if declared is not None and (type(declared) is not int or not 0 < declared <= _MOST_CLASSES):
        raise PackageError(
            f"{folder / PIPELINE}: num_classes is {declared!r:.40}, expected a whole number of 1 to {_MOST_CLASSES}"
        )
    return declared


def _noted(folder: Path, count: Any) -> Classes | None:
    """Classes and colours that Segship noted in a folder it wrote itself, where they fit."""
    try:
        spec = ModelSpec.model_validate(read_detail(folder)["segship"]["spec"])
    except (ValueError, KeyError, TypeError):
        return None
    return Classes(spec.classes, spec.palette) if count in {None, len(spec.classes)} else None
