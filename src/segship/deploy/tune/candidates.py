"""What there is to try on this machine: engines, precisions and shapes, the cheapest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.backends import DEFAULT, backends, find_backend
from segship.core.errors import BackendError, SegshipError
from segship.core.processor import processors
from segship.core.target import Shape, Target
from segship.deploy.requirements import able_target, require_embeddable
from segship.deploy.shapes import fit, resolve
from segship.deploy.tune.result import Tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.artifacts import BackendInfo
    from segship.core.plan import Embedded
    from segship.core.target import Precision
    from segship.sources import Loaded

__all__ = ["find_candidates", "thread_choices"]

# The cheapest, then the ones that save the most: the search of bf16 may take as long as int8's calibration.
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "bf16", "fp16")


def find_candidates(
    loaded: Loaded, *, engines: Sequence[str], embed: Sequence[Embedded], trust: bool
) -> tuple[list[Target], list[Tried]]:
    """List what may be built here.

    Args:
        loaded: The network.
        engines: Names of the engines to try; none: all that work here.
        embed: The work on images that the engine shall do itself.
        trust: Whether engines whose files carry code may be tried.

    Returns:
        The targets to try, in their order, and what is left out, with the reason.

    Raises:
        BackendError: No engine has one of the names.
    """
    for name in engines:
        find_backend(name)
    targets: list[Target] = []
    out: list[Tried] = []
    known = backends()
    for name in sorted(known, key=lambda name: (name != DEFAULT, name)):
        if engines and name not in engines:
            continue
        reason = _against(name, trust=trust)
        if reason:
            out.append(Tried(name, "left out", reason))
            continue
        for shape in (Shape(), Shape(own=True)):
            for precision in _PRECISIONS:
                _sort(Target(backend=name, precision=precision, shape=shape), loaded, embed, targets, out)
    order = {precision: place for place, precision in enumerate(_PRECISIONS)}
    # Files of one size only come last: what takes any size is worth more where both are as fast.
    targets.sort(key=lambda target: (target.shape.static is not None, order[target.precision]))
    return targets, out


def thread_choices(info: BackendInfo) -> tuple[int | None, ...]:
    """Return the numbers of threads to try: 1, 2, 4, … up to the processors of this process.

    Args:
        info: Of the engine. One that has a single pool of threads for the whole process is left its own choice, since
            what one candidate sets would hold for the others.
    """
    if info.threads != "session":
        return (None,)
    most = processors()
    return tuple(sorted({min(2**power, most) for power in range(most.bit_length() + 1)}))


def _against(name: str, *, trust: bool) -> str:
    """Why an engine is not tried; empty where it is."""
    backend = find_backend(name)
    devices = backend.probe()
    usable = [device for device in devices if device.usable]
    if not usable:
        return devices[0].note if devices else "no device is found for it"
    if all(device.simulator for device in usable):
        return f"{usable[0].simulator} is a simulator, whose time says nothing of the device"
    if backend.INFO.runs_code and not trust:
        return f"{backend.INFO.runs_code}: it is tried with --trust only"
    return ""


def _sort(target: Target, loaded: Loaded, embed: Sequence[Embedded], targets: list[Target], out: list[Tried]) -> None:
    info = find_backend(target.backend).INFO
    if target.precision not in info.precisions or not (info.dynamic or target.shape.own):
        return  # it does not exist: not worth a line
    try:
        resolved = resolve(able_target(target), loaded.spec, loaded.network.sizes)
        fit(loaded.spec, loaded.network.sizes, resolved.shape)
        require_embeddable(resolved, embed)
        if info.emulated is not None and (reason := info.emulated(target.precision)):
            raise BackendError(reason)
        own = loaded.network.graph_format
        if own is not None and (own not in info.reads or target.precision in info.lowered):
            raise BackendError(f"the network comes in the format {own}, of which it cannot be made")
    except SegshipError as error:
        out.append(Tried(str(target), "left out", str(error)))
        return
    if resolved not in targets:
        targets.append(resolved)
