"""Renaming by rules: every key meets exactly one, or the conversion is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import torch

from segship.core.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["DROP", "Rules", "State", "join_queries", "rename"]

State: TypeAlias = "dict[str, Tensor]"

Rules: TypeAlias = "Sequence[tuple[str, str]]"
"""Pattern of the whole key, and what it becomes, with ``\\1`` for its groups."""

DROP = ""
"""What the key of a weight becomes that only pre-training or classification uses."""

_SHOWN = 8


def rename(state: Mapping[str, Tensor], rules: Rules) -> tuple[State, tuple[str, ...]]:
    """Rename every key by the first rule whose pattern it matches as a whole.

    Args:
        state: Weights under their original keys.
        rules: Patterns and new keys.

    Returns:
        The weights under their new keys, and the old keys that were dropped.

    Raises:
        CheckpointError: Keys match no rule, or two become one.
    """
    patterns = [(re.compile(pattern), new) for pattern, new in rules]
    renamed: State = {}
    unknown, dropped = [], []
    for key, value in state.items():
        match, new = next(
            ((found, new) for pattern, new in patterns if (found := pattern.fullmatch(key))), (None, DROP)
        )
        if match is None:
            unknown.append(key)
            continue
        name = match.expand(new)
        if name in renamed:
            raise CheckpointError(f"two weights of the original would become {name}: {key} and another")
        if name:
            renamed[name] = value
        else:
            dropped.append(key)
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise CheckpointError(
            f"{len(unknown)} of {len(state)} weights are not known of such a network ({'; '.join(unknown[:_SHOWN])}"
            f"{more}): usually the file is of another network, or of another repository's version of it"
        )
    return renamed, tuple(dropped)


def join_queries(state: Mapping[str, Tensor]) -> State:
    """Join ``attn.q`` with ``attn.kv`` into ``attn.qkv``, as attention of PyTorch stores them.

    Raises:
        CheckpointError: One of the two is missing.
    """
    joined: State = {}
    for key, value in state.items():
        if ".attn.kv." in key:
            if key.replace(".attn.kv.", ".attn.q.") not in state:
                raise CheckpointError(f"{key} is there, but not the queries beside it")
            continue
        if ".attn.q." in key:
            pair = key.replace(".attn.q.", ".attn.kv.")
            if pair not in state:
                raise CheckpointError(f"{key} is there, but not {pair} beside it")
            joined[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat([value, state[pair]])
        else:
            joined[key] = value
    return joined
