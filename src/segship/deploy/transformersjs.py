"""A folder that transformers.js opens: config.json, preprocessor_config.json, onnx/model.onnx."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segship.backends import find_backend
from segship.core.artifacts import Engine
from segship.core.errors import UnsupportedError, VerificationError
from segship.core.files import replace_directory, require_replaceable
from segship.deploy.requirements import require_extra, require_format
from segship.formats.transformersjs import (
    INPUT,
    MODEL,
    OUTPUT,
    is_transformersjs_folder,
    require_writable,
    write,
)
from segship.verification.compare import compare
from segship.verification.gates import failures
from segship.verification.inputs import TRACED, find_verification_images, references
from segship.vision.label_maps import label_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.core.artifacts import Graph
    from segship.core.manifest import Comparison
    from segship.core.plan import Plan
    from segship.deploy.ship import ExportOptions
    from segship.sources import Loaded
    from segship.verification.compare import Reference

__all__ = ["build_transformersjs_folder"]


def build_transformersjs_folder(load: Callable[[], Loaded], out: Path, options: ExportOptions) -> float:
    """Write the folder, verified; it appears whole or not at all.

    Args:
        load: Reads the network.
        out: Folder to write.
        options: What is asked for; the target is fp32 for ONNX Runtime.

    Returns:
        The least share of equal labels over all inputs.

    Raises:
        SegshipError: transformers.js lacks what the network needs, or something cannot be converted or verified.
    """
    from segship.networks.session import EagerSession

    require_extra()
    require_replaceable(out, is_transformersjs_folder)
    options.progress("reading the network")
    loaded = load()
    plan = options.plan(loaded).model_copy(update={"embed": ("pre", "post")})
    require_writable(plan.spec)
    require_format(plan, loaded.network.graph_format)
    with replace_directory(out, replaceable=is_transformersjs_folder) as directory:
        options.progress("capturing the network as a graph")
        graph = _write_graph(loaded, plan, directory)
        options.progress("comparing the engine with the network")
        images = find_verification_images(options.images)
        expected = references(EagerSession(loaded.network), plan, images, batch=False)
        checks = _checks(Engine(directory, (MODEL,), graph.inputs, graph.outputs), expected, plan)
        if failed := failures(checks, plan.target.precision):
            raise VerificationError("; ".join(failed))
        least = min(check.labels_equal for check in checks)
        write(directory, plan.spec, least)
    return least


def _write_graph(loaded: Loaded, plan: Plan, directory: Path) -> Graph:
    from segship.capture import CaptureOptions, capture
    from segship.onnxgraph.image.postprocess import take_pixels

    path = directory / MODEL
    path.parent.mkdir()
    dynamic = plan.target.shape.static is None
    options = CaptureOptions(plan.sizes.nearest(*TRACED), plan.spec.channels, dynamic)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".graph.") as scratch:
        graph = capture(loaded.network, Path(scratch) / "model.onnx", options)
        graph = take_pixels(graph, path, plan.spec, image=INPUT, output=OUTPUT)
    if len(list(path.parent.iterdir())) > 1:
        raise UnsupportedError("the network is larger than 2 GiB, more than a page can load: write a package")
    return graph


def _checks(engine: Engine, expected: Sequence[Reference], plan: Plan) -> tuple[Comparison, ...]:
    """Compare the labels that transformers.js makes with the network's own."""
    dtype = label_dtype(len(plan.spec.classes))
    with find_backend(plan.target.backend).open(engine) as session:
        found = []
        for each in expected:
            pixels = np.ascontiguousarray(each.image.transpose(2, 0, 1)[None], np.float32)
            logits = session.run({INPUT: pixels})[OUTPUT]
            found.append(compare(each, logits[0].argmax(axis=0).astype(dtype), plan.spec))
    return tuple(found)
