"""Twins of Meituan's repository and of timm, for `PCPVT` and `SVT`.

Source: Twins (arXiv:2104.13840). Blocks with a reduced map keep queries apart from keys and values; those with windows
join all three.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP, join_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "prepare", "recognises"]

TITLE = "Twins (PCPVT and SVT), official and timm"
OPTIONAL = r"norm_list\.\d+\.\w+"
ABSENT = r"norm_list\.\d+\.\w+"

_P = r"(weight|bias)"
_BLOCK = r"blocks\.(\d+)\.(\d+)"
RULES: Rules = (
    (rf"patch_embeds\.(\d+)\.proj\.{_P}", r"patch_embeds.\1.projection.\2"),
    (rf"patch_embeds\.(\d+)\.norm\.{_P}", r"\g<0>"),
    (rf"pos_block\.(\d+)\.proj\.0\.{_P}", r"position_encodings.\1.proj.\2"),
    (rf"{_BLOCK}\.norm([12])\.{_P}", r"layers.\1.\2.norm\3.\4"),
    (rf"{_BLOCK}\.global\.qkv\.{_P}", r"layers.\1.\2.attn.attn.in_proj_\3"),
    (rf"{_BLOCK}\.global\.proj\.{_P}", r"layers.\1.\2.attn.attn.out_proj.\3"),
    (rf"{_BLOCK}\.global\.(sr|norm)\.{_P}", r"layers.\1.\2.attn.\3.\4"),
    (rf"{_BLOCK}\.attn\.(qkv|proj)\.{_P}", r"layers.\1.\2.attn.\3.\4"),
    (rf"{_BLOCK}\.mlp\.fc1\.{_P}", r"layers.\1.\2.ffn.layers.0.0.\3"),
    (rf"{_BLOCK}\.mlp\.fc2\.{_P}", r"layers.\1.\2.ffn.layers.1.\3"),
    (rf"norm_list\.(\d+)\.{_P}", r"\g<0>"),
    (r"head\..+", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by the position encodings between its stages."""
    return {"pos_block.0.proj.0.weight", "patch_embeds.0.proj.weight"} <= state.keys()


def prepare(state: Mapping[str, Tensor]) -> State:
    """Tell global attention from attention in windows, join its queries, and number the last normalisation."""
    stages = 1 + max(int(match[1]) for key in state if (match := re.match(r"patch_embeds\.(\d+)\.", key)))
    wide = {key.removesuffix("attn.q.weight") for key in state if key.endswith("attn.q.weight")}
    named: State = {}
    for key, value in join_queries(state).items():
        block, attention, rest = key.partition("attn.")
        if attention and block in wide:
            named[f"{block}global.{rest}"] = value
        else:
            named[re.sub(r"^norm\.", f"norm_list.{stages - 1}.", key)] = value
    return named
