"""BEiT's own weights and timm's, for `BEiT`.

Source: BEiT (arXiv:2106.08254). Pre-trained weights share one table of relative positions among all blocks; each block
gets it. Keys have no bias, which both sides leave out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "prepare", "recognises"]

TITLE = "BEiT, official and timm"
OPTIONAL = r"ln1\.\w+"
ABSENT = r"(?!)"

_P = r"(weight|bias)"
_TABLE = "relative_position_bias_table"
RULES: Rules = (
    (r"cls_token", r"\g<0>"),
    (rf"patch_embed\.proj\.{_P}", r"patch_embed.projection.\1"),
    (rf"blocks\.(\d+)\.norm([12])\.{_P}", r"layers.\1.ln\2.\3"),
    (r"blocks\.(\d+)\.(gamma_[12])", r"layers.\1.\2"),
    (
        r"blocks\.(\d+)\.attn\.(qkv\.weight|q_bias|v_bias|proj\.weight|proj\.bias|relative_position_bias_table)",
        r"layers.\1.attn.\2",
    ),
    (rf"blocks\.(\d+)\.mlp\.fc1\.{_P}", r"layers.\1.ffn.layers.0.0.\2"),
    (rf"blocks\.(\d+)\.mlp\.fc2\.{_P}", r"layers.\1.ffn.layers.1.\2"),
    (rf"norm\.{_P}", r"ln1.\1"),
    (r"(.+\.)?(relative_position_index|k_bias)", DROP),
    (r"(head|fc_norm|lm_head)\..+|mask_token", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by its tables of relative positions and the factors after each part of a block."""
    tables = {f"blocks.0.attn.{_TABLE}", f"rel_pos_bias.{_TABLE}"}
    return "blocks.0.gamma_1" in state and bool(tables & state.keys())


def prepare(state: Mapping[str, Tensor]) -> State:
    """Give every block the table that all of them share."""
    shared = state.get(f"rel_pos_bias.{_TABLE}")
    own = {key: value for key, value in state.items() if not key.startswith("rel_pos_bias.")}
    if shared is not None:
        blocks = {key.split(".")[1] for key in state if key.startswith("blocks.")}
        own |= {f"blocks.{block}.attn.{_TABLE}": shared for block in blocks}
    return own
