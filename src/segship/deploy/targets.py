"""Which target is meant: as text, as a deploy config of MMDeploy, or as version 0.1 named it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from segship.backends import DEFAULT
from segship.core.errors import InputError
from segship.core.target import Shape, Target
from segship.deploy.ship import ignore_progress

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_target", "old_target", "renamed"]

_DYNAMIC = f"{DEFAULT}_dynamic"


def find_target(target: str | Target) -> Target:
    """Read a target.

    Args:
        target: A target, its text as `Target.parse` reads it, or the path of a deploy config of MMDeploy.

    Returns:
        The target.

    Raises:
        SegshipError: It is none of these.
    """
    if isinstance(target, Target):
        return target
    if target.endswith(".py") and Path(target).is_file():
        from segship.formats.mmdeploy.deploy_config import read_target

        return read_target(Path(target))
    return Target.parse(target)


def old_target(target: str | Target | None, **parts: str | None) -> Target:
    """Return the target, or the one that version 0.1's three arguments name together.

    Args:
        target: As for `find_target`; None: the usual one, or what ``parts`` name.
        parts: ``backend``, ``precision`` and ``shape``, each None where it is not given.

    Raises:
        SegshipError: Both are given, or the target is none.
    """
    given = {name: value for name, value in parts.items() if value is not None}
    if not given:
        return find_target(target or _DYNAMIC)
    if target is not None:
        raise InputError(f"target={str(target)!r} names engine, precision and shape: leave {', '.join(given)} out")
    shape = Shape.parse(given.pop("shape", "dynamic"))
    chosen = Target.model_validate({"backend": DEFAULT, "shape": shape} | given)
    warnings.warn(
        f"backend, precision and shape go with the next version: give target={str(chosen)!r} instead",
        DeprecationWarning,
        stacklevel=3,
    )
    return chosen


def renamed(progress: Callable[[str], None] | None, on_stage: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return the function that is told of stages, which version 0.1 called ``on_stage``.

    Args:
        progress: Called with the name of each stage.
        on_stage: The same by its old name.

    Raises:
        InputError: Both are given.
    """
    if on_stage is None:
        return progress or ignore_progress
    if progress is not None:
        raise InputError("on_stage is the old name of progress: give one of them")
    warnings.warn("on_stage is called progress now, and goes with the next version", DeprecationWarning, stacklevel=3)
    return on_stage
