"""What an export checks before any long work: what is installed, and what the engine is able to do."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from segship.backends import backends, find_backend
from segship.core.errors import BackendError, MissingExtraError, UnsupportedError
from segship.core.kits import has_recipe, require_buildable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.artifacts import BackendInfo, GraphFormat
    from segship.core.plan import Embedded, Plan
    from segship.core.target import Target

__all__ = ["EXPORT_MODULES", "able_target", "require_embeddable", "require_engine", "require_extra", "require_format"]

EXPORT_MODULES = ("torch", "onnx", "onnxscript")
"""What every export imports."""


def require_extra() -> None:
    """Check that what every export needs is installed.

    Raises:
        MissingExtraError: It is not.
    """
    for module in EXPORT_MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("Exporting", "export", module)


def able_target(target: Target) -> Target:
    """Check that the engine can be built for a target.

    Returns:
        The target, its options as the backend's own types.

    Raises:
        BackendError: The engine does not come in the precision or the shape, or has no such option.
    """
    info = find_backend(target.backend).INFO
    if target.precision not in info.precisions:
        reason = info.gaps.get(target.precision)
        raise BackendError(
            f"{info.title} engines are built as {', '.join(info.precisions)}, not {target.precision}"
            + (f": {reason}" if reason else "")
        )
    if not info.dynamic and target.shape.static is None and not target.shape.own:
        reason = info.gaps.get("dynamic")
        raise BackendError(
            f"{info.title} engines take one size only{f' ({reason})' if reason else ''}: "
            "say which, as in --shape static-512x1024, or --shape static for the network's own"
        )
    return target.model_copy(update={"options": info.read_options(target.options)})


def require_engine(target: Target) -> None:
    """Check that the engine can be built on this machine, as calibrating and searching would be for nothing.

    Args:
        target: As `able_target` returns it.

    Raises:
        BackendError: A module or the vendor's tools are missing, or the device that has to build the engine.
    """
    backend = find_backend(target.backend)
    if has_recipe(backend):
        require_buildable(backend, target)
    info = backend.INFO
    if info.unbuildable is not None and (reason := info.unbuildable()):
        raise BackendError(reason)
    for module in info.modules:
        if module not in sys.modules and importlib.util.find_spec(module) is None:
            raise MissingExtraError(info.title, info.extra, module)


def require_embeddable(target: Target, embed: Sequence[Embedded]) -> None:
    """Check that an engine can do the work on images itself.

    Raises:
        BackendError: The engine or its precision cannot.
    """
    if embed and target.precision not in find_backend(target.backend).INFO.embed:
        precisions = {name: ", ".join(backend.INFO.embed) for name, backend in backends().items()}
        able = "; ".join(f"{name} in {which}" for name, which in precisions.items() if which)
        raise BackendError(f"embed is provided for {able}, not for {target}: take another target or leave it out")


def require_format(plan: Plan, own: GraphFormat | None) -> None:
    """Check that the network can become what the plan asks for.

    Args:
        plan: Of the export.
        own: The only format that the network comes in; None: any. Networks that come as a graph of one engine's own
            are for that engine, and as they are.

    Raises:
        UnsupportedError: It cannot.
    """
    if plan.embed and plan.spec.slide is not None:
        raise UnsupportedError(
            "a network that slides has as many windows as fit into the image, which one graph cannot count: leave "
            "embed out, or see the whole image with --cfg-options model.test_cfg.mode=whole"
        )
    if plan.embed:
        plan.spec.require_common("A graph that prepares images (--embed)")
    if "pre" in plan.embed:
        plan.spec.require_scores_resized()
    if plan.embed and plan.spec.pixels != "uint8":
        raise UnsupportedError("embed is for networks that take photographs; this one takes bands as they are stored")
    if own is not None:
        _require_own_format(plan, own, find_backend(plan.target.backend).INFO)


def _require_own_format(plan: Plan, own: GraphFormat, info: BackendInfo) -> None:
    instead = "bring the ONNX file or the network that it was made of"
    if own not in info.reads:
        readers = {name: each.INFO.title for name, each in backends().items() if own in each.INFO.reads}
        raise UnsupportedError(
            f"the network comes as a model of {' or '.join(readers.values())}, which {info.title} cannot read: "
            f"choose --backend {' or '.join(readers)}, or {instead}"
        )
    comes = f"the network comes as a model of {info.title}: {instead}"
    if plan.target.precision in info.lowered:
        raise UnsupportedError(f"{plan.target.precision} is made from ONNX, and {comes}")
    if plan.embed:
        raise UnsupportedError(f"--embed adds to a graph of ONNX, and {comes}")
