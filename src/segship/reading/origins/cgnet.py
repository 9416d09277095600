"""CGNet of its authors' repository, the whole network, for `CGNet` with an `FCNHead`.

Source: CGNet (arXiv:1811.08201). The original's classifier has no bias; ours gets one of zeros. Its stages are called
level2 and level3 there, and the first, halving block of each stands apart from the others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "finish", "prepare", "recognises"]

TITLE = "CGNet, official (whole network)"
OPTIONAL = r"(?!)"
ABSENT = r"(?!)"

_BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_BLOCK = r"level(\d)\.(\d+)"
_HERE = r"backbone.level\1.\2"
RULES: Rules = (
    (rf"stem\.(\d)\.(conv\.weight|bn\.{_BN})", r"backbone.stem.\1.\2"),
    (r"stem\.(\d)\.act\.weight", r"backbone.stem.\1.activate.weight"),
    (rf"join\.(\d)\.bn\.{_BN}", r"backbone.norm_prelu_\1.0.\2"),
    (r"join\.(\d)\.act\.weight", r"backbone.norm_prelu_\1.1.weight"),
    (rf"{_BLOCK}\.conv1x1\.(conv\.weight|bn\.{_BN})", rf"{_HERE}.conv1x1.\3"),
    (rf"{_BLOCK}\.conv1x1\.act\.weight", rf"{_HERE}.conv1x1.activate.weight"),
    (rf"{_BLOCK}\.F_(loc|sur)\.conv\.weight", rf"{_HERE}.f_\3.weight"),
    (rf"{_BLOCK}\.(?:bn_prelu\.)?bn\.{_BN}", rf"{_HERE}.bn.\3"),
    (rf"{_BLOCK}\.(?:bn_prelu\.)?act\.weight", rf"{_HERE}.activate.weight"),
    (rf"{_BLOCK}\.reduce\.conv\.weight", rf"{_HERE}.bottleneck.weight"),
    (rf"{_BLOCK}\.F_glo\.fc\.([02])\.(weight|bias)", rf"{_HERE}.f_glo.fc.\3.\4"),
    (r"classifier\.(?:0\.)?(?:1\.)?conv\.weight", "decode_head.conv_seg.weight"),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by the names of the parts for local and surrounding context."""
    return {"level1_0.conv.weight", "level2_0.F_sur.conv.weight"} <= state.keys()


def prepare(state: Mapping[str, Tensor]) -> State:
    """Bring the halving blocks and the others of a stage into one count."""
    return {_place(key): value for key, value in state.items()}


def _place(key: str) -> str:
    key = re.sub(r"^level1_(\d)\.", r"stem.\1.", key)
    key = re.sub(r"^(?:b1|bn_prelu_(\d))\.", lambda found: f"join.{int(found[1] or 1) - 1}.", key)
    key = re.sub(r"^level([23])\.(\d+)\.", lambda found: f"level{int(found[1]) - 1}.{int(found[2]) + 1}.", key)
    return re.sub(r"^level([23])_0\.", lambda found: f"level{int(found[1]) - 1}.0.", key)


def finish(state: State) -> State:
    """Give the classifier a bias of zeros."""
    classifier = state.get("decode_head.conv_seg.weight")
    if classifier is None:
        return state
    return state | {"decode_head.conv_seg.bias": torch.zeros(len(classifier), dtype=classifier.dtype)}
