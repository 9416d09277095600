"""A folder that MMDeploy's own runtime opens: end2end.onnx, deploy.json, pipeline.json, detail.json."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import VerificationError
from segship.core.files import holds_only, replace_directory, require_replaceable
from segship.deploy.requirements import require_extra
from segship.deploy.ship import verify_engine
from segship.formats.mmdeploy.documents import DEPLOY, DETAIL, PIPELINE, is_mmdeploy_folder, write_json
from segship.formats.mmdeploy.writer import INPUT, MODEL, OPSET, OUTPUT, deploy_file, detail_file, pipeline_file
from segship.verification.inputs import TRACED, find_verification_images, references
from segship.vision.upsample import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

    from segship.core.artifacts import Graph
    from segship.core.plan import Plan
    from segship.deploy.ship import ExportOptions
    from segship.sources import Loaded
    from segship.verification.compare import Reference

__all__ = ["build_mmdeploy_folder"]

_IR_VERSION = 9  # that ONNX Runtime 1.15 reads, which is inside the last mmdeploy_runtime


def build_mmdeploy_folder(load: Callable[[], Loaded], out: Path, options: ExportOptions) -> float:
    """Write the folder, verified; it appears whole or not at all.

    The graph ends in the mask at the network's input size, which the runtime brings to the image's own size by nearest
    neighbours: that is how it works, and differs along borders from the masks of a package of ours.

    Args:
        load: Reads the network.
        out: Folder to write.
        options: What is asked for; the target is fp32 for ONNX Runtime.

    Returns:
        The least share of equal labels over all inputs.

    Raises:
        SegshipError: The network needs what the runtime has not, or something cannot be converted or verified.
    """
    from segship.networks.session import EagerSession

    require_extra()
    require_replaceable(out, _is_replaceable)
    options.progress("reading the network")
    loaded = load()
    plan = options.plan(loaded)
    pipeline = pipeline_file(plan.spec)
    with replace_directory(out, replaceable=_is_replaceable) as directory:
        options.progress("capturing the network as a graph")
        graph = _write_graph(loaded, plan, directory)
        options.progress("comparing the engine with the network")
        images = find_verification_images(options.images)
        expected = references(EagerSession(loaded.network), plan, images, batch=False)
        engine = Engine(directory, (MODEL,), graph.inputs, graph.outputs)
        checks, failed = verify_engine(
            engine, [_at_input_size(each) for each in expected], plan, lambda: loaded.network
        )
        if failed:
            raise VerificationError("; ".join(failed))
        least = min(check.labels_equal for check in checks)
        write_json(directory / PIPELINE, pipeline)
        write_json(directory / DEPLOY, deploy_file(dynamic=plan.target.shape.static is None))
        write_json(directory / DETAIL, detail_file(plan.spec, least, loaded.origin))
    return least


def _is_replaceable(directory: Path) -> bool:
    """A folder like those that are written here, and nothing else in it."""
    return is_mmdeploy_folder(directory) and holds_only(directory, {MODEL, f"{MODEL}.data", PIPELINE, DEPLOY, DETAIL})


def _at_input_size(reference: Reference) -> Reference:
    """The same, with labels at the size of the network's input, where the graph decides."""
    return replace(reference, steps=(Step(reference.image.shape[2:]),))


def _write_graph(loaded: Loaded, plan: Plan, directory: Path) -> Graph:
    from segship.capture import CaptureOptions, capture
    from segship.onnxgraph.image.postprocess import append_postprocess
    from segship.onnxgraph.rewrite import rewrite

    path, dynamic = directory / MODEL, plan.target.shape.static is None
    options = CaptureOptions(plan.sizes.nearest(*TRACED), plan.spec.channels, dynamic, opset=OPSET)
    graph = capture(loaded.network, path, options)

    def finish(model: onnx.ModelProto) -> None:
        append_postprocess(model, plan.spec, image=INPUT, output=OUTPUT)
        model.ir_version = _IR_VERSION

    rewrite(graph, path, finish)
    image = graph.inputs[0]
    mask = TensorInfo(name=OUTPUT, dtype="int64", shape=(image.shape[0], 1, *image.shape[2:]))
    return type(graph)(path, "onnx", (image.model_copy(update={"name": INPUT}),), (mask,))
