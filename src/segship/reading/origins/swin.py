"""Swin transformers of Microsoft's repository and of timm, for `SwinTransformer`.

Source: Swin (arXiv:2103.14030). The original joins the four neighbours of a patch in the order of columns before rows,
channels last; here they are gathered by an unfold: rows before columns, channels first. timm keeps the step between two
stages at the beginning of the later one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "finish", "prepare", "recognises"]

TITLE = "Swin, official and timm"
OPTIONAL = r"norm\d\.\w+"
ABSENT = r"norm\d\.\w+"

_P = r"(weight|bias)"
RULES: Rules = (
    (r"absolute_pos_embed", r"\g<0>"),
    (rf"patch_embed\.proj\.{_P}", r"patch_embed.projection.\1"),
    (rf"patch_embed\.norm\.{_P}", r"\g<0>"),
    (rf"layers\.(\d+)\.blocks\.(\d+)\.norm([12])\.{_P}", r"stages.\1.blocks.\2.norm\3.\4"),
    (
        rf"layers\.(\d+)\.blocks\.(\d+)\.attn\.((?:qkv|proj)\.{_P}|relative_position_bias_table)",
        r"stages.\1.blocks.\2.attn.w_msa.\3",
    ),
    (rf"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.{_P}", r"stages.\1.blocks.\2.ffn.layers.0.0.\3"),
    (rf"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.{_P}", r"stages.\1.blocks.\2.ffn.layers.1.\3"),
    (r"layers\.(\d+)\.downsample\.(norm\.weight|norm\.bias|reduction\.weight)", r"stages.\1.downsample.\2"),
    (rf"norm\d\.{_P}", r"\g<0>"),
    (r".+\.(relative_position_index|attn_mask)", DROP),
    (r"head\..+", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by the blocks of the layers."""
    return "layers.0.blocks.0.attn.relative_position_bias_table" in state


def prepare(state: Mapping[str, Tensor]) -> State:
    """Put each step behind the stage before it, and name the last normalisation after the last stage."""
    stages = 1 + max(int(match[1]) for key in state if (match := re.match(r"layers\.(\d+)\.", key)))
    later = f"layers.{stages - 1}.downsample.reduction.weight" in state
    moved: State = {}
    for key, value in state.items():
        match = re.match(r"layers\.(\d+)(\.downsample\..+)", key)
        if match and later:
            moved[f"layers.{int(match[1]) - 1}{match[2]}"] = value
        else:
            moved[re.sub(r"^norm\.", f"norm{stages - 1}.", key)] = value
    return moved


def finish(state: State) -> State:
    """Put the channels of four joined neighbours into the order of an unfold."""
    return {key: _reorder(value) if ".downsample." in key else value for key, value in state.items()}


def _reorder(weight: Tensor) -> Tensor:
    """(…, 4 * C), neighbours by column, then by channel -> by channel, then by row."""
    leading, width = weight.shape[:-1], weight.shape[-1]
    parts = weight.reshape(*leading, 2, 2, width // 4)  # column, row, channel
    return parts.movedim(-1, -3).transpose(-1, -2).reshape(*leading, width)
