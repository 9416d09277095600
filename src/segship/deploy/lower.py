"""fp16 and bf16 of engines in which some layers can stay in float32, until the gate holds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from segship.backends import find_backend, runs_here
from segship.core.manifest import Quantization
from segship.deploy.give_back import GivingBack
from segship.verification.compare import compare
from segship.verification.gates import failures
from segship.verification.inputs import verification_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph, Session
    from segship.core.plan import Plan
    from segship.core.target import Target
    from segship.verification.compare import Reference

    Progress = Callable[[str], None]

__all__ = ["build_lower", "can_mix"]

_RANKED_ON = 2  # images; the order of the layers hardly changes with more


def can_mix(graph: Graph, plan: Plan) -> bool:
    """Return whether single layers can stay in float32: the graph is ONNX, and the engine says so.

    Args:
        graph: float32.
        plan: Of the export.
    """
    info, precision = find_backend(plan.target.backend).INFO, plan.target.precision
    return graph.format == "onnx" and precision in {"bf16", "fp16"} and precision in {*info.lowered, *info.mixed}


def build_lower(
    graph: Graph,
    plan: Plan,
    directory: Path,
    expected: Sequence[Reference],
    finish: Callable[[Graph], Graph],
    progress: Progress,
) -> tuple[Engine, Quantization | None]:
    """Build an engine of fp16 or bf16, with as few layers in float32 as its gate takes.

    Where no device here computes the precision, nothing can be measured, and all is in that precision.

    Args:
        graph: float32; other files may be written beside it.
        plan: Of the export.
        directory: Where the engine's files go.
        expected: The inputs of the verification, with the network's own logits.
        finish: Makes a graph of the precision what the engine is built of.
        progress: Called with what is being done.

    Returns:
        The engine, and what stays in float32; None where nothing does.
    """
    from segship.quantize.rounding import round_onnx  # onnx, which reading a deploy config does without

    backend = find_backend(plan.target.backend)
    reduced = round_onnx(graph, plan.target, backend)
    if not _computes(backend, plan.target):
        return reduced.build((), directory, finish), None

    def measure(engine: Engine, session: Session) -> tuple[float, list[str]]:
        image, output = engine.inputs[0].name, engine.outputs[0].name
        checks = [compare(each, session.run({image: each.image})[output], plan.spec) for each in expected]
        equal = float(np.average([check.labels_equal for check in checks], weights=[check.pixels for check in checks]))
        return equal, failures(checks, plan.target.precision)

    def inputs() -> list[NDArray[np.float32]]:
        bare = plan.model_copy(update={"embed": ()})
        return [each.tensor for each in itertools.islice(verification_inputs(bare, (), batch=False), _RANKED_ON)]

    giving = GivingBack(reduced, plan.target, graph.path.parent, finish, measure, progress)
    kept, equal, _ = giving.search(inputs)  # what fails even so is told by the verification that follows
    engine = reduced.build(kept, directory, finish)
    if not kept:
        return engine, None
    slower = giving.slowdown(kept, expected[-1].image)
    record = Quantization(
        images=len(expected),
        labelled=0,
        layers=len(reduced.layers),
        kept=kept,
        slowdown=slower,
        agreement=equal,
    )
    return engine, record


def _computes(backend: Backend, target: Target) -> bool:
    """Whether a device here, and no simulator, runs the engine in the target's precision."""
    emulated = backend.INFO.emulated
    real = any(device.usable and not device.simulator for device in backend.probe())
    return real and runs_here(backend, target.options) and not (emulated is not None and emulated(target.precision))
