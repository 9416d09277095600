"""Vision transformers of timm, DeiT and MAE-like fine-tunings, for `VisionTransformer`.

Source: ViT (arXiv:2010.11929), DeiT (arXiv:2012.12877).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "join_tokens", "prepare", "recognises"]

TITLE = "timm ViT and DeiT"
OPTIONAL = r"ln1\.\w+|patch_embed\.projection\.bias"  # MMSegmentation's patches have no bias unless asked for
ABSENT = r"(?!)"

_P = r"(weight|bias)"
RULES: Rules = (
    (r"cls_token|pos_embed", r"\g<0>"),
    (rf"patch_embed\.proj\.{_P}", r"patch_embed.projection.\1"),
    (rf"blocks\.(\d+)\.norm([12])\.{_P}", r"layers.\1.ln\2.\3"),
    (rf"blocks\.(\d+)\.attn\.qkv\.{_P}", r"layers.\1.attn.attn.in_proj_\2"),
    (rf"blocks\.(\d+)\.attn\.proj\.{_P}", r"layers.\1.attn.attn.out_proj.\2"),
    (rf"blocks\.(\d+)\.mlp\.fc1\.{_P}", r"layers.\1.ffn.layers.0.0.\2"),
    (rf"blocks\.(\d+)\.mlp\.fc2\.{_P}", r"layers.\1.ffn.layers.1.\2"),
    (rf"norm\.{_P}", r"ln1.\1"),
    (r"(head|head_dist|fc_norm|pre_logits)\..+", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by its position embedding and joined queries and keys without relative positions."""
    return (
        {"pos_embed", "blocks.0.attn.qkv.weight", "patch_embed.proj.weight"} <= state.keys()
        and "blocks.0.attn.relative_position_bias_table" not in state
        and "rel_pos_bias.relative_position_bias_table" not in state
    )


def prepare(state: Mapping[str, Tensor]) -> State:
    """Put the token of distillation (DeiT) behind the class token."""
    return join_tokens(state)


def join_tokens(state: Mapping[str, Tensor], prefix: str = "") -> State:
    """Join ``cls_token`` and ``dist_token`` to one (1, 2, C), where there is the latter."""
    joined = dict(state)
    distilled = joined.pop(f"{prefix}dist_token", None)
    if distilled is not None:
        joined[f"{prefix}cls_token"] = torch.cat([state[f"{prefix}cls_token"], distilled], dim=1)
    return joined
