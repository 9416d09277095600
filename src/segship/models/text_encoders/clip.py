"""CLIP's text encoder, as Side Adapter Networks store it: weights only.

Turning class names into its tokens takes CLIP's byte-pair vocabulary, which is part of neither config nor checkpoint.

Source: CLIP (arXiv:2103.00020); upstream ``mmseg/models/text_encoder/clip_text_encoder.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.clip import ClipLayerWeights
from segship.models.layers.conv import build_norm
from segship.models.layers.transformer import LAYER_NORM
from segship.models.registry import text_encoders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.models.layers.conv import Cfg

__all__ = ["CLIPTextEncoder"]


@text_encoders.register
class CLIPTextEncoder(nn.Module):
    """The weights of CLIP's text encoder; it has no ``forward``.

    Args:
        total_vocab_size: Number of tokens that have an embedding.
        context_length: Tokens of a text.
        embed_dims, num_heads, num_layers: Width of the tokens, attention heads, number of layers.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        output_dims: Width of a text's embedding.
        cat_bg: Whether there is an embedding of the background.
        norm_cfg: The last normalisation.
        dataset_name, vocabulary, templates, cache_feature: What upstream encodes, and how; without effect here.
    """

    def __init__(
        self,
        *,
        total_vocab_size: int = 49408,
        context_length: int = 77,
        embed_dims: int = 512,
        num_layers: int = 12,
        num_heads: int = 8,
        mlp_ratio: int = 4,
        output_dims: int = 512,
        cat_bg: bool = True,
        norm_cfg: Cfg = LAYER_NORM,
        dataset_name: str | None = None,
        vocabulary: Sequence[str] | None = None,
        templates: str | Sequence[str] = "vild",
        cache_feature: bool = True,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(total_vocab_size, embed_dims)
        self.positional_embedding = nn.Parameter(torch.zeros(context_length, embed_dims))
        self.transformer = nn.ModuleList(
            [ClipLayerWeights(embed_dims, num_heads, mlp_ratio=mlp_ratio) for _ in range(num_layers)]
        )
        self.ln_final = build_norm(norm_cfg, embed_dims)[1]
        self.text_projection = nn.Parameter(torch.zeros(embed_dims, output_dims))
        self.logit_scale = nn.Parameter(torch.zeros(()))
        if cat_bg:
            self.bg_embed = nn.Parameter(torch.zeros(1, output_dims))
