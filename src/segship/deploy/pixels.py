"""Lone models for others' tools: pixels in, scores at their size out, and what the tool wants to know in the file."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np

from segship.backends import DEFAULT, find_backend
from segship.core.artifacts import Engine
from segship.core.errors import BackendError, InputError, SizeError, UnsupportedError, VerificationError
from segship.core.files import holds_only, replace_directory, require_replaceable
from segship.core.target import Shape
from segship.deploy.requirements import require_extra, require_format
from segship.formats import deepness, model_api, ultralytics
from segship.verification.compare import Reference, compare
from segship.verification.gates import failures
from segship.verification.inputs import TRACED, find_scenes, find_verification_images, references
from segship.vision.decode import read_image
from segship.vision.label_maps import label_dtype
from segship.vision.preprocess import prepare, prepared_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.core.manifest import Comparison
    from segship.core.plan import Plan
    from segship.core.spec import ModelSpec
    from segship.deploy.ship import ExportOptions
    from segship.sources import Loaded

__all__ = ["FILES", "LAYOUTS", "PixelLayout", "build_pixel_model"]

PixelLayout: TypeAlias = Literal["deepness", "model_api", "ultralytics"]

LAYOUTS = {"deepness": DEFAULT, "model_api": model_api.ENGINE, "ultralytics": DEFAULT}
"""The engine whose format each layout has."""

FILES = {"deepness": ("model.onnx",), "model_api": ("model.xml", "model.bin"), "ultralytics": ("model.onnx",)}
"""The files of each layout."""

_TILES: dict[str, Any] = {"deepness": deepness, "ultralytics": ultralytics}
_SIDE = 512  # of tiles that nobody asked for


def build_pixel_model(load: Callable[[], Loaded], out: Path, options: ExportOptions, layout: PixelLayout) -> float:
    """Write a folder with the model, verified; it appears whole or not at all.

    Args:
        load: Reads the network.
        out: Folder to write.
        options: What is asked for; of the target's shape, a static one is the size of tiles.
        layout: Whose tool shall open it.

    Returns:
        The least share of equal labels over all inputs.

    Raises:
        SegshipError: The tool lacks what the network needs, or something cannot be converted or verified.
    """
    from segship.networks.session import EagerSession

    require_extra()
    backend = LAYOUTS[layout]
    if (options.target.backend, options.target.precision) != (backend, "fp32"):
        raise BackendError(f"models for {layout} are written for {backend} in fp32, not for {options.target}")
    files = FILES[layout]

    def replaceable(folder: Path) -> bool:
        return holds_only(folder, files)

    require_replaceable(out, replaceable)
    options.progress("reading the network")
    loaded = load()
    plan, side = _plan(loaded, options, layout)
    with replace_directory(out, replaceable=replaceable) as directory:
        images = find_verification_images(options.images)
        options.progress("running the network itself")
        network = EagerSession(loaded.network)
        expected = (
            references(network, plan, images, batch=False)
            if side is None
            else [_reference(name, image, plan.spec, network) for name, image in _tiles(images, side)]
        )
        options.progress("capturing the network as a graph")
        engine = _write(loaded, plan, side, layout, directory)
        options.progress("comparing the engine with the network")
        checks = _checks(engine, expected, plan, scale=1 if side is None else 255)
        if failed := failures(checks, plan.target.precision):
            raise VerificationError("; ".join(failed))
    return min(check.labels_equal for check in checks)


def _plan(loaded: Loaded, options: ExportOptions, layout: str) -> tuple[Plan, int | None]:
    """What travels, and the side of the tiles; None: images of any size."""
    free = dataclasses.replace(options, target=options.target.model_copy(update={"shape": Shape.parse("dynamic")}))
    plan = free.plan(loaded)
    spec = plan.spec
    if spec.pixels != "uint8" or spec.returns == "labels":
        raise UnsupportedError(f"{layout} takes networks that see photographs and return scores: write a package")
    if layout not in _TILES:
        plan = plan.model_copy(update={"embed": ("pre", "post")})
        require_format(plan, loaded.network.graph_format)
        return plan, None
    require_format(plan, loaded.network.graph_format)
    side = _side(options.target.shape, plan)
    if spec.slide is not None:
        # A tile is a window of theirs, and what the network's rule does to a whole image is not for tiles.
        spec = spec.model_copy(update={"geometry": (), "slide": None})
    made = prepared_size(spec, side, side)
    if not plan.sizes.allows(*made):
        raise SizeError(
            f"tiles of {side}x{side} become {made[0]}x{made[1]}, this network takes {plan.sizes}: name another size, "
            "as --shape static-512x512"
        )
    return plan.model_copy(update={"spec": spec}), side


def _side(shape: Shape, plan: Plan) -> int:
    """The side of the tiles: as asked for, the network's own, or 512."""
    slide, fixed = plan.spec.slide, plan.sizes.fixed
    found = shape.static or (slide.crop if slide else fixed) or plan.sizes.nearest(_SIDE, _SIDE)
    if found[0] != found[1]:
        raise InputError(
            f"tiles are square, and {found[0]}x{found[1]} is not: name a size, as --shape static-{_SIDE}x{_SIDE}"
        )
    return found[0]


def _tiles(images: Sequence[Path], side: int) -> list[tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]]:
    """Bundled scenes and the user's images at the size of a tile, BGR."""
    named = [("scene", scene) for scene in find_scenes()] + [(file.name, read_image(file)) for file in images]
    return [
        (name, np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
        for name, image in named
    ]


def _reference(name: str, image: np.ndarray[Any, np.dtype[np.uint8]], spec: ModelSpec, network: Any) -> Reference:
    prepared = prepare(image, spec)
    logits = network.run({"image": prepared.tensor})["logits"]
    return Reference(name, np.ascontiguousarray(image[:, :, ::-1]), logits, prepared.steps)


def _write(loaded: Loaded, plan: Plan, side: int | None, layout: str, directory: Path) -> Engine:
    """The model, with what its tool reads in it."""
    from segship.capture import CaptureOptions, capture
    from segship.onnxgraph.image.postprocess import take_pixels

    backend = find_backend(plan.target.backend)
    options = CaptureOptions(plan.sizes.nearest(*TRACED), plan.spec.channels, plan.sizes.fixed is None)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".graph.") as scratch:
        graph = capture(loaded.network, Path(scratch) / "captured.onnx", options)
        if side is None:
            path = Path(scratch) / "model.onnx"
            image, output = model_api.INPUT, model_api.OUTPUT
            # OpenVINO's first run of a graph that branches returns what lay in memory: its INFO says that it has none.
            whole = take_pixels(graph, path, plan.spec, image=image, output=output, branches=backend.INFO.branches)
            described = dataclasses.replace(whole, metadata=model_api.metadata(plan.spec))
            return backend.convert(described, plan.target, directory)
        form = _TILES[layout]
        path = directory / FILES[layout][0]
        made = take_pixels(
            graph,
            path,
            plan.spec,
            image=form.INPUT,
            output=form.OUTPUT,
            unit=True,
            shares=True,
            size=(side, side),
            metadata=form.metadata(loaded.spec, side),
        )
    if len(list(directory.iterdir())) > 1:
        raise UnsupportedError("the network is larger than 2 GiB, more than one file holds: write a package")
    return Engine(directory, (path.name,), made.inputs, made.outputs)


def _checks(engine: Engine, expected: Sequence[Reference], plan: Plan, *, scale: int) -> tuple[Comparison, ...]:
    """Compare the labels that the tool makes with the network's own."""
    dtype = label_dtype(len(plan.spec.classes))
    name, output = engine.inputs[0].name, engine.outputs[0].name
    with find_backend(plan.target.backend).open(engine) as session:
        found = []
        for each in expected:
            pixels = np.ascontiguousarray(each.image.transpose(2, 0, 1)[None], np.float32) / np.float32(scale)
            scores = session.run({name: pixels})[output]
            found.append(compare(each, scores[0].argmax(axis=0).astype(dtype), plan.spec))
    return tuple(found)
