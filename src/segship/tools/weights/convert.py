"""From a foreign checkpoint to a file with our keys."""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from segship.core.errors import CheckpointError, InputError, UnsupportedError, did_you_mean
from segship.core.files import write_atomically
from segship.reading import origins as _origins
from segship.reading.checkpoint import read_checkpoint
from segship.reading.key_rules import rename
from segship.reading.weights import load_strict
from segship.sources import load_network
from segship.tools.weights.position import fit_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["Converted", "Origin", "convert_weights", "find_origin", "origins"]

_BACKBONE = "backbone."
_HEADS = ("decode_head.", "auxiliary_head.")


class Origin(Protocol):
    """The functions that a module of ``origins`` provides.

    It may also define ``prepare(state)``, which sees the original keys before the rules do, ``finish(state)``, which
    sees the converted ones, and ``KEEPS_HEADS = False`` where the heads of a whole network fit none of ours.
    """

    TITLE: str
    """Whose weights, for people."""
    RULES: Rules
    """How keys are renamed."""
    OPTIONAL: str
    """Pattern of converted keys that only some of our networks have; dropped where a config's has not."""
    ABSENT: str
    """Pattern of our keys that the original has not: what segmentation adds, to be trained."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether the keys are of this kind."""


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint.

    Attributes:
        path: The file that was written; None: none was asked for.
        origin: Name of the module of ``origins`` that converted it.
        state: The weights under our keys.
        dropped: Original keys that were left behind: classifiers and what only pre-training uses.
        absent: Keys of the config's network that the original has not; they keep their random numbers.
        notes: What a user should know, in sentences.
    """

    path: Path | None
    origin: str
    state: Mapping[str, Tensor]
    dropped: tuple[str, ...]
    absent: tuple[str, ...]
    notes: tuple[str, ...]


def origins() -> dict[str, Origin]:
    """Return all origins by name, such as ``mobilenet_v2``."""
    names = [entry.name for entry in pkgutil.iter_modules(_origins.__path__)]
    modules: dict[str, Any] = {name: importlib.import_module(f"{_origins.__name__}.{name}") for name in names}
    return modules


def find_origin(state: Mapping[str, Tensor], name: str | None = None) -> str:
    """Return the origin called ``name``, or the only one that recognises the keys.

    Args:
        state: The original weights.
        name: Of an origin; None: recognised by the keys.

    Returns:
        Name of the origin.

    Raises:
        UnsupportedError: No origin has that name.
        CheckpointError: None recognises the keys, or several do.
    """
    known = origins()
    if name is not None:
        plain = name.replace("-", "_").lower()
        if plain not in known:
            raise UnsupportedError(
                f"no origin is called {name!r}, known are {', '.join(known)}.{did_you_mean(plain, known)}"
            )
        return plain
    found = [name for name, origin in known.items() if origin.recognises(state)]
    if len(found) == 1:
        return found[0]
    few = ", ".join(list(state)[:4])
    reason = f"both {' and '.join(found)} know them" if found else "no origin knows them"
    raise CheckpointError(f"the keys ({few}, …) do not tell what they are of: {reason}; name one of {', '.join(known)}")


def convert_weights(
    checkpoint: str | Path,
    out: str | Path | None = None,
    *,
    origin: str | None = None,
    config: str | Path | None = None,
    cfg_options: Mapping[str, Any] | Sequence[str] | None = None,
    trust: bool = False,
) -> Converted:
    """Convert the weights of another repository to our keys, which are MMSegmentation's.

    Every key of the original is accounted for: renamed, or known to be of no use here. With a config, the result is
    loaded strictly into its network or backbone, and position embeddings are resized to its image size.

    Args:
        checkpoint: The original weights.
        out: ``.pth`` to write; None: nothing is written.
        origin: Whose they are; None: recognised by the keys.
        config: A config whose network or backbone shall take them.
        cfg_options: Overrides of the config.
        trust: Load a checkpoint that can only be read by running the code it carries.

    Returns:
        The weights under our keys, and what was done with each of theirs.

    Raises:
        CheckpointError: The file cannot be read, keys are not known, or the config's network does not take them.
        UnsupportedError: No origin has that name.

    Examples:
        >>> from segship.tools.weights import convert_weights
        >>> converted = convert_weights("deit_small_patch16_224.pth", "deit_small.pth")  # doctest: +SKIP
    """
    if out is not None and Path(out).suffix not in {".pth", ".pt"}:
        raise InputError(f"{out} ends with {Path(out).suffix or 'nothing'}: expected .pth")
    state = read_checkpoint(Path(checkpoint), trust=trust).state
    name, converted, dropped = _convert(state, origin)
    absent: tuple[str, ...] = ()
    notes: list[str] = []
    if config is not None:
        network = load_network(config, cfg_options=cfg_options)
        converted, absent = _fit(network, converted, origins()[name], notes, str(checkpoint))
    converted = {key: value.contiguous().clone() for key, value in converted.items()}
    if out is not None:
        buffer = io.BytesIO()
        torch.save({"state_dict": converted, "meta": {}}, buffer)
        write_atomically(Path(out), buffer.getvalue())
    return Converted(Path(out) if out is not None else None, name, converted, dropped, absent, tuple(notes))


def _convert(state: State, origin: str | None) -> tuple[str, State, tuple[str, ...]]:
    """Name of the origin, converted weights, dropped keys; heads of a whole network keep their names."""
    body, heads = _split(state)
    name = find_origin(body, origin)
    unit = origins()[name]
    body = getattr(unit, "prepare", dict)(body)
    converted, dropped = rename(body, unit.RULES)
    converted = getattr(unit, "finish", dict)(converted)
    if not heads:
        return name, converted, dropped
    whole = {f"{_BACKBONE}{key}": value for key, value in converted.items()}
    if not getattr(unit, "KEEPS_HEADS", True):
        return name, whole, (*dropped, *heads)
    return name, whole | heads, dropped


def _split(state: State) -> tuple[State, State]:
    """What belongs to the backbone, under its own keys, and what to the heads of a whole network."""
    if not any(key.startswith(_BACKBONE) for key in state) or not any(key.startswith(_HEADS) for key in state):
        return state, {}
    body = {key.removeprefix(_BACKBONE): value for key, value in state.items() if key.startswith(_BACKBONE)}
    return body, {key: value for key, value in state.items() if not key.startswith(_BACKBONE)}


def _fit(network: nn.Module, state: State, unit: Origin, notes: list[str], what: str) -> tuple[State, tuple[str, ...]]:
    """The weights as the part of ``network`` that they belong to takes them, and its keys that they lack."""
    target = _target(network, state)
    expected = target.state_dict()
    for key in [key for key in state if key not in expected and _is(unit.OPTIONAL, key)]:
        notes.append(f"{key} is left behind: the config's network has no such part")
        del state[key]
    state = {key: fit_position(key, value, expected, notes) for key, value in state.items()}
    absent = tuple(key for key in expected if key not in state and _is(unit.ABSENT, key))
    load_strict(target, state | {key: expected[key] for key in absent}, what=what)
    return state, absent


def _is(pattern: str, key: str) -> bool:
    return re.fullmatch(rf"(backbone\.)?({pattern})", key) is not None


def _target(network: nn.Module, state: State) -> nn.Module:
    """The network, its backbone, or the backbone within that: whichever shares most keys."""
    parts = [network]
    while isinstance(inner := getattr(parts[-1], "backbone", None), nn.Module):
        parts.append(inner)
    return max(parts, key=lambda part: len(part.state_dict().keys() & state.keys()))
