"""The graphs of a kit: one ONNX file for each number of images at once, held against the network."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import reference_backend
from segship.capture import CaptureOptions, capture
from segship.core.artifacts import Engine
from segship.core.errors import VerificationError
from segship.core.kits import batches_of
from segship.core.memory import release_memory
from segship.deploy.build import BuiltEngine, finished
from segship.deploy.ship import describe_network, describe_package
from segship.onnxgraph.file import SharedWeights, load, split, write
from segship.verification.compare import Reference, compare
from segship.verification.gates import failures
from segship.verification.inputs import TRACED, find_scenes, first_window
from segship.vision.bands import synthesize_bands
from segship.vision.preprocess import prepare, prepare_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.core.artifacts import Graph
    from segship.core.kits import KitBackend
    from segship.core.manifest import Manifest
    from segship.core.plan import Plan
    from segship.sources import Loaded

__all__ = ["KitGraphs", "describe_kit", "make_graphs"]


@dataclass(frozen=True)
class KitGraphs:
    """The graphs of a kit.

    Attributes:
        graphs: One for each number of images at once; one of all where the batch is free.
        references: The network's own scores for inputs that no data set brings.
        about: What a manifest says of the network.
    """

    graphs: dict[int, Graph]
    references: tuple[Reference, ...]
    about: dict[str, Any]

    @property
    def engine(self) -> Engine:
        """The first graph, as ONNX Runtime runs it."""
        first = next(iter(self.graphs.values()))
        return Engine(first.path.parent, _files(first.path), first.inputs, first.outputs)


def make_graphs(loaded: Loaded, plan: Plan, folder: Path, backend: KitBackend) -> KitGraphs:
    """Write the graphs, and run the network on what they are to be held against.

    Args:
        loaded: The network; nothing of it is kept.
        plan: Of the export.
        folder: Where the files go.
        backend: Whose kit it is.
    """
    from segship.networks.session import EagerSession  # torch, which reading a kit does without

    network = EagerSession(loaded.network)
    references = tuple(Reference(name, image, network.run({"image": image})["logits"]) for name, image in _inputs(plan))
    free, batches = backend.free(plan.target), batches_of(plan.target)
    shared = SharedWeights(folder / "weights.data") if len(batches) > 1 and not free else None
    graphs = {}
    for batch in batches[:1] if free else batches:
        options = CaptureOptions(
            size=plan.target.shape.static or plan.sizes.nearest(*TRACED),
            channels=plan.spec.channels,
            dynamic=free,
            metadata=plan.metadata(),
            opset=backend.INFO.opset,
            batch=batch,
        )
        with tempfile.TemporaryDirectory(dir=folder, prefix=".graph.") as scratch:
            made = finished(capture(loaded.network, Path(scratch) / "model.onnx", options), plan)
            path = folder / ("model.onnx" if free else f"model_bs{batch}.onnx")
            write(*split(load(made.path)), path, shared=shared)
        graphs[batch] = dataclasses.replace(made, path=path)
        release_memory()
    return KitGraphs(graphs, references, describe_network(loaded, plan))


def describe_kit(made: KitGraphs, plan: Plan) -> Manifest:
    """Hold the first graph against the network, by ONNX Runtime.

    Args:
        made: The graphs.
        plan: Of the export.

    Returns:
        The manifest of a package whose engine is the first graph.

    Raises:
        VerificationError: The graph does not agree with the network.
    """
    _require_equal(made.engine, made.references, plan)
    return describe_package(made.about, plan, BuiltEngine(made.engine), made.engine.directory)


def _files(path: Path) -> tuple[str, ...]:
    return tuple(file.name for file in (path, path.with_name(f"{path.name}.data")) if file.is_file())


def _inputs(plan: Plan) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Scenes, and the same upside down in a mirror: no two are alike, so that outputs in another order show."""
    size = plan.target.shape.static or plan.sizes.fixed
    for number, scene in enumerate(find_scenes()):
        for kind, image in (("", scene), ("-turned", np.ascontiguousarray(scene[::-1, ::-1]))):
            bands = synthesize_bands(image, plan.spec)
            if size is not None:
                tensor = prepare_at(bands, plan.spec, size)
            else:
                tensor = first_window(prepare(bands, plan.spec).tensor, plan.spec)
            yield f"scene-{number}{kind}", tensor


def _require_equal(engine: Engine, references: tuple[Reference, ...], plan: Plan) -> None:
    image, output = engine.inputs[0].name, engine.outputs[0].name
    batch = engine.inputs[0].shape[0]
    count = batch if isinstance(batch, int) else 1
    with reference_backend("onnx").open(engine) as session:
        checks = tuple(
            compare(each, session.run({image: np.repeat(each.image, count, 0)})[output][:1], plan.spec)
            for each in references
        )
    if failed := failures(checks, "fp32"):
        raise VerificationError(f"the kit's ONNX file is not the network: {'; '.join(failed)}")
