"""The judge of last resort of fp32: how near engine and network are to the network in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from segship.core.comparison import Exactness, Nearness
from segship.core.errors import UnsupportedError
from segship.verification.compare import compare
from segship.verification.gates import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.comparison import Comparison
    from segship.core.plan import Plan
    from segship.core.spec import ModelSpec
    from segship.networks.network import Network
    from segship.verification.compare import Reference

__all__ = ["Doubtful", "explained", "is_doubtful", "judged", "with_exactness"]


@dataclass(frozen=True, eq=False)
class Doubtful:
    """A comparison that missed the gate of fp32.

    Attributes:
        check: The comparison.
        reference: The input, and the network's own logits.
        output: The engine's, for that input.
        infer: Runs the same input by another session of the network.
    """

    check: Comparison
    reference: Reference
    output: NDArray[Any]
    infer: Callable[[Session], NDArray[Any]]


def judged(
    checks: Sequence[Comparison],
    expected: Sequence[Reference],
    run: Callable[[Reference], NDArray[Any]],
    network: Callable[[], Network],
    plan: Plan,
) -> tuple[tuple[Comparison, ...], list[str]]:
    """Hold comparisons against the gate of a precision; where fp32 misses it, float64 decides.

    Args:
        checks: The comparisons.
        expected: Their inputs, with the network's own logits.
        run: What the engine returns for one of them.
        network: Reads the original; called where float64 decides.
        plan: Of the export.

    Returns:
        The comparisons, and what does not hold, in words.
    """
    failed = failures(checks, plan.target.precision)
    if not failed or plan.target.precision != "fp32":
        return tuple(checks), failed
    doubtful = {
        place: Doubtful(check, reference, run(reference), partial(_infer, reference))
        for place, (check, reference) in enumerate(zip(checks, expected, strict=True))
        if is_doubtful(check)
    }
    again, reason = with_exactness(list(doubtful.values()), network, plan.spec)
    found = dict(enumerate(checks)) | dict(zip(doubtful, again, strict=True))
    return tuple(found.values()), explained(failures(list(found.values()), "fp32"), reason)


def explained(failed: list[str], reason: str) -> list[str]:
    """Failures, the last of which says why float64 did not decide.

    Args:
        failed: What does not hold, in words.
        reason: As `with_exactness` says it.
    """
    return [*failed[:-1], f"{failed[-1]}; {reason}"] if failed and reason else failed


def is_doubtful(check: Comparison) -> bool:
    """Return whether a comparison misses the gate of fp32 by figures, and not by values that are none.

    Args:
        check: One input's.
    """
    return math.isfinite(check.max_difference) and bool(failures([check], "fp32"))


def _infer(reference: Reference, session: Session) -> NDArray[Any]:
    tensor = reference.image if reference.tensor is None else reference.tensor
    return session.run({"image": tensor})["logits"]


def with_exactness(
    doubtful: Sequence[Doubtful], network: Callable[[], Network], spec: ModelSpec
) -> tuple[list[Comparison], str]:
    """Hold engine and network against the network in float64, which takes several times as long as the network.

    Args:
        doubtful: What missed the gate.
        network: Reads the original, which is left as it is.
        spec: How logits become labels.

    Returns:
        The comparisons, each with how near both are; and why there is none of that, in words: empty where there is.
    """
    from segship.networks.exact import ExactSession, float32_sessions

    if not doubtful:
        return [], ""
    original = network()
    try:
        session = ExactSession(original)
        exact = [each.infer(session) for each in doubtful]
    except UnsupportedError as error:
        return [
            each.check for each in doubtful
        ], f"float64 could not decide, for the network does not run in it: {error}"
    ways = float32_sessions(original)
    found = []
    for each, logits in zip(doubtful, exact, strict=True):
        reference = replace(each.reference, logits=logits)
        engine = _farthest([compare(reference, each.output, spec)])
        own = [each.infer(way) for way in ways]
        from_exact = _farthest([compare(reference, output, spec) for output in (each.reference.logits, *own)])
        apart = _farthest([compare(each.reference, output, spec) for output in own])
        of_network = _nearer(from_exact, apart)
        beyond = 1 - compare(reference, each.output, spec, noise=of_network.max_difference).labels_equal
        exact_of = Exactness(engine=engine, network=of_network, beyond_noise=beyond)
        found.append(each.check.model_copy(update={"exact": exact_of}))
    return found, ""


def _nearer(one: Nearness, other: Nearness) -> Nearness:
    """The nearer figures of two."""
    return Nearness(
        labels_equal=max(one.labels_equal, other.labels_equal),
        max_difference=min(one.max_difference, other.max_difference),
        mean_difference=min(one.mean_difference, other.mean_difference),
    )


def _farthest(checks: Sequence[Comparison]) -> Nearness:
    """The farthest figures of several comparisons."""
    return Nearness(
        labels_equal=min(check.labels_equal for check in checks),
        max_difference=max(check.max_difference for check in checks),
        mean_difference=max(check.mean_difference for check in checks),
    )
