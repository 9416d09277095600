"""Mix transformers of SegFormer's repository, for `MixVisionTransformer`.

Source: SegFormer (arXiv:2105.15203). The decode head of that repository has no activation and no normalisation before
the maps are joined, so that its weights fit no `SegformerHead`: only the backbone is converted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP, join_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "KEEPS_HEADS", "OPTIONAL", "RULES", "TITLE", "finish", "prepare", "recognises"]

TITLE = "MiT / SegFormer, official"
OPTIONAL = r"(?!)"
ABSENT = r"(?!)"
KEEPS_HEADS = False

_P = r"(weight|bias)"
RULES: Rules = (
    (rf"layers\.(\d+)\.embed\.proj\.{_P}", r"layers.\1.0.projection.\2"),
    (rf"layers\.(\d+)\.embed\.norm\.{_P}", r"layers.\1.0.norm.\2"),
    (rf"layers\.(\d+)\.block\.(\d+)\.norm([12])\.{_P}", r"layers.\1.1.\2.norm\3.\4"),
    (rf"layers\.(\d+)\.block\.(\d+)\.attn\.qkv\.{_P}", r"layers.\1.1.\2.attn.attn.in_proj_\3"),
    (rf"layers\.(\d+)\.block\.(\d+)\.attn\.proj\.{_P}", r"layers.\1.1.\2.attn.attn.out_proj.\3"),
    (rf"layers\.(\d+)\.block\.(\d+)\.attn\.(sr|norm)\.{_P}", r"layers.\1.1.\2.attn.\3.\4"),
    (rf"layers\.(\d+)\.block\.(\d+)\.mlp\.fc1\.{_P}", r"layers.\1.1.\2.ffn.layers.0.\3"),
    (rf"layers\.(\d+)\.block\.(\d+)\.mlp\.dwconv\.dwconv\.{_P}", r"layers.\1.1.\2.ffn.layers.1.\3"),
    (rf"layers\.(\d+)\.block\.(\d+)\.mlp\.fc2\.{_P}", r"layers.\1.1.\2.ffn.layers.4.\3"),
    (rf"layers\.(\d+)\.norm\.{_P}", r"layers.\1.2.\2"),
    (r"(head|decode_head)\..+", DROP),
)

_STAGE = re.compile(r"(patch_embed|block|norm)(\d)\.")
_NAMES = {"patch_embed": "embed", "block": "block", "norm": "norm"}


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by its stages, which are counted from one."""
    return {"patch_embed1.proj.weight", "block1.0.attn.kv.weight"} <= state.keys()


def prepare(state: Mapping[str, Tensor]) -> State:
    """Count the stages from zero, and join queries with keys and values."""
    counted = {
        _STAGE.sub(lambda found: f"layers.{int(found[2]) - 1}.{_NAMES[found[1]]}.", key, count=1): value
        for key, value in state.items()
    }
    return join_queries(counted)


def finish(state: State) -> State:
    """Make 1x1 convolutions of the matrices in the feed-forward networks."""
    matrix = re.compile(r".+\.ffn\.layers\.[04]\.weight")
    return {key: value[:, :, None, None] if matrix.fullmatch(key) else value for key, value in state.items()}
