"""STDC networks of Meituan's repository, pre-trained or as part of STDC-Seg, for `STDCNet`.

Source: STDC (arXiv:2104.13188). Only the backbone is converted: the original's heads are built otherwise. Its stages
are a flat list there; which stage a block belongs to follows from where the map is halved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "KEEPS_HEADS", "OPTIONAL", "RULES", "TITLE", "prepare", "recognises"]

TITLE = "STDC, official"
OPTIONAL = r"(?!)"
ABSENT = r"(?!)"
KEEPS_HEADS = False

_BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
RULES: Rules = (
    (rf"stages\.([01])\.(conv\.weight|bn\.{_BN})", r"\g<0>"),
    (rf"(stages\.\d+\.\d+)\.conv_list\.(\d+)\.(conv\.weight|bn\.{_BN})", r"\1.layers.\2.\3"),
    (r"(stages\.\d+\.\d+)\.avd_layer\.0\.weight", r"\1.downsample.conv.weight"),
    (rf"(stages\.\d+\.\d+)\.avd_layer\.1\.{_BN}", r"\1.downsample.bn.\2"),
    (r"x\d+\..+", DROP),  # the same weights again, under the names of groups of stages
    (r"(conv_last|fc|bn|linear)\..+", DROP),
    (r"(arm16|arm32|conv_head32|conv_head16|conv_avg|ffm|conv_out\w*|sp)\..+", DROP),
)

_FEATURE = re.compile(r"features\.(\d+)\.(.+)")


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by its flat list of blocks."""
    return any(re.match(r"(cp\.)?(backbone\.)?features\.2\.conv_list\.0\.", key) for key in state)


def prepare(state: Mapping[str, Tensor]) -> State:
    """Number the blocks by stage: a block that halves its map begins one."""
    plain = {re.sub(r"^(cp\.)?(backbone\.)?", "", key): value for key, value in state.items()}
    return {_FEATURE.sub(_Stages(plain), key): value for key, value in plain.items()}


class _Stages:
    """New name of ``features.N.rest``."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self._places: dict[int, str] = {0: "0", 1: "1"}
        count = 1 + max(int(match[1]) for key in state if (match := _FEATURE.match(key)))
        stage, block = 1, 0
        for index in range(2, count):
            halves = f"features.{index}.avd_layer.0.weight" in state
            stage, block = (stage + 1, 0) if halves else (stage, block + 1)
            self._places[index] = f"{stage}.{block}"

    def __call__(self, found: re.Match[str]) -> str:
        return f"stages.{self._places[int(found[1])]}.{found[2]}"
