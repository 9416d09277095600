"""A folder that MMDeploy's own runtime opens: end2end.onnx, deploy.json, pipeline.json, detail.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import VerificationError
from segship.core.files import replace_directory, require_replaceable
from segship.deploy.samples import TRACED, find_samples, verification_inputs
from segship.deploy.shapes import fit, resolve
from segship.formats.mmdeploy.documents import DEPLOY, DETAIL, PIPELINE, is_mmdeploy_folder, write_json
from segship.formats.mmdeploy.writer import INPUT, MODEL, OPSET, OUTPUT, deploy_file, detail_file, pipeline_file
from segship.vision.upsample import Step, labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Graph
    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Target
    from segship.sources import Loaded

__all__ = ["ship_mmdeploy"]

_IR_VERSION = 9  # that ONNX Runtime 1.15 reads, which is inside the last mmdeploy_runtime
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

    require_replaceable(out, is_mmdeploy_folder)
    tell("reading the network")
    loaded = load()
    target = resolve(target, loaded.spec, loaded.network.sizes)
    spec, sizes = fit(loaded.spec, loaded.network.sizes, target.shape)
    pipeline = pipeline_file(spec)
    with replace_directory(out, replaceable=is_mmdeploy_folder) as directory:
        tell("capturing the network as a graph")
        graph = _write_graph(loaded, spec, sizes, directory, dynamic=target.shape.static is None)
        tell("comparing the engine with the network")
        eager = EagerSession(loaded.network)
        engine = backend.open(Engine(directory, (MODEL,), graph.inputs, graph.outputs))
        shares = []
        for _, image in verification_inputs(spec, sizes, find_samples(images), batch=False):
            expected = _masks(eager.run({"image": image})["logits"], image, spec)
            found = np.asarray(engine.run({INPUT: image})[OUTPUT])[:, 0]
            shares.append(float((found == expected).mean()))
        if min(shares) < _LEAST_EQUAL:
            raise VerificationError(f"{min(shares):.4%} of the labels are the network's (gate {_LEAST_EQUAL:.2%})")
        write_json(directory / PIPELINE, pipeline)
        write_json(directory / DEPLOY, deploy_file(dynamic=target.shape.static is None))
        write_json(directory / DETAIL, detail_file(spec, min(shares), loaded.origin))
    return min(shares)


def _write_graph(loaded: Loaded, spec: ModelSpec, sizes: SizeRule, directory: Path, *, dynamic: bool) -> Graph:
    from segship.capture import CaptureOptions, capture
    from segship.onnxgraph.image.postprocess import end_whole
    from segship.onnxgraph.rewrite import rewrite

    path = directory / MODEL
    options = CaptureOptions(sizes.nearest(*TRACED), spec.channels, dynamic, opset=OPSET)
    graph = capture(loaded.network, path, options)

    def finish(model: onnx.ModelProto) -> None:
        end_whole(model, spec, image=INPUT, output=OUTPUT)
        model.ir_version = _IR_VERSION

    rewrite(graph, path, finish)
    image = graph.inputs[0]
    mask = TensorInfo(name=OUTPUT, dtype="int64", shape=(image.shape[0], 1, *image.shape[2:]))
    return type(graph)(path, "onnx", (image.model_copy(update={"name": INPUT}),), (mask,))


def _masks(logits: NDArray[np.float32], image: NDArray[np.float32], spec: ModelSpec) -> NDArray[Any]:
    size = Step((image.shape[2], image.shape[3]))
    threshold = spec.threshold if spec.output == "sigmoid" else None
    return np.stack([labels(each, [size], align_corners=spec.align_corners, threshold=threshold) for each in logits])
