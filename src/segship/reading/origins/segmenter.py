"""Segmenter of its authors' repository, encoder and decoder: `VisionTransformer`, `SegmenterMaskTransformerHead`.

Source: Segmenter (arXiv:2105.05633). A linear decoder becomes the classifier of an `FCNHead` without convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP
from segship.reading.origins import vit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "finish", "prepare", "recognises"]

TITLE = "Segmenter, official (whole network)"
OPTIONAL = r"(?!)"
ABSENT = r"(?!)"

_P = r"(weight|bias)"
_BLOCK = r"decoder\.blocks\.(\d+)"
_HERE = r"decode_head.layers.\1"
RULES: Rules = (
    (r"encoder\.(?:head_dist|head|pre_logits)\..+", DROP),
    (r"encoder\.(cls_token|pos_embed)", r"backbone.\1"),
    *(
        (rf"encoder\.(?:{pattern})", f"backbone.{new}")
        for pattern, new in vit.RULES
        if not new.startswith(r"\g") and new
    ),
    (r"decoder\.cls_emb", "decode_head.cls_emb"),
    (rf"decoder\.proj_dec\.{_P}", r"decode_head.dec_proj.\1"),
    (r"decoder\.proj_patch", "decode_head.patch_proj.weight"),
    (r"decoder\.proj_classes", "decode_head.classes_proj.weight"),
    (rf"{_BLOCK}\.norm([12])\.{_P}", rf"{_HERE}.ln\2.\3"),
    (rf"{_BLOCK}\.attn\.qkv\.{_P}", rf"{_HERE}.attn.attn.in_proj_\2"),
    (rf"{_BLOCK}\.attn\.proj\.{_P}", rf"{_HERE}.attn.attn.out_proj.\2"),
    (rf"{_BLOCK}\.mlp\.fc1\.{_P}", rf"{_HERE}.ffn.layers.0.0.\2"),
    (rf"{_BLOCK}\.mlp\.fc2\.{_P}", rf"{_HERE}.ffn.layers.1.\2"),
    (rf"decoder\.(decoder_norm|mask_norm)\.{_P}", r"decode_head.\1.\2"),
    (rf"decoder\.head\.{_P}", r"decode_head.conv_seg.\1"),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by an encoder with a class token and a decoder."""
    return "encoder.cls_token" in state and any(key.startswith("decoder.") for key in state)


def prepare(state: Mapping[str, Tensor]) -> State:
    """Put the token of a distilled encoder behind the class token."""
    return vit.join_tokens(state, "encoder.")


def finish(state: State) -> State:
    """Turn round what the original multiplies from the other side; a linear decoder becomes a 1x1 convolution."""
    turned = {"decode_head.patch_proj.weight", "decode_head.classes_proj.weight"}
    state = {key: value.T if key in turned else value for key, value in state.items()}
    classifier = state.get("decode_head.conv_seg.weight")
    return state if classifier is None else state | {"decode_head.conv_seg.weight": classifier[:, :, None, None]}
