"""MobileNetV2 of timm, for `MobileNetV2`.

Source: MobileNetV2 (arXiv:1801.04381). The last 1x1 convolution belongs to classification and is left behind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "prepare", "recognises"]

TITLE = "MobileNetV2, timm"
OPTIONAL = r"(?!)"
ABSENT = r"(?!)"

_BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_FIRST = r"layers\.0\.(\d+)"  # its blocks have no convolution that widens
_OTHER = r"layers\.([1-9]\d*)\.(\d+)"


def _block(where: str, groups: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Rules for the convolutions of a block, in their order: ``N`` in ``groups`` stands for the place of each."""
    after = groups.count("\\") + 1
    rules = []
    for place, name in enumerate(names):
        new = groups.replace("N", str(place))
        rules.append((rf"{where}\.{name}\.weight", f"{new}.conv.weight"))
        rules.append((rf"{where}\.bn{place + 1}\.{_BN}", rf"{new}.bn.\{after}"))
    return rules


RULES: Rules = (
    (r"conv_stem\.weight", "conv1.conv.weight"),
    (rf"bn1\.{_BN}", r"conv1.bn.\1"),
    *_block(_FIRST, r"layer1.\1.conv.N", ("conv_dw", "conv_pw")),
    *_block(_OTHER, r"layer\1.\2.conv.N", ("conv_pw", "conv_dw", "conv_pwl")),
    (r"(conv_head|bn2|classifier)\..+", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by the names of the blocks' convolutions; MobileNetV3 has other parts in them."""
    known = {"conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pwl.weight"} <= state.keys()
    return known and not any(".se." in key for key in state)


def prepare(state: Mapping[str, Tensor]) -> State:
    """Count the stages from one, as ``layer2``; the first one keeps its number for its own rules."""
    return {re.sub(r"^blocks\.(\d+)", _stage, key): value for key, value in state.items()}


def _stage(found: re.Match[str]) -> str:
    index = int(found[1])
    return f"layers.{index + 1 if index else 0}"
