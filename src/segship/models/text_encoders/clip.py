"""CLIP's text encoder, as Side Adapter Networks store it: what it makes of the class names is their classifier.

Turning names into its tokens takes CLIP's byte-pair vocabulary, which is part of neither config nor checkpoint.

Source: CLIP (arXiv:2103.00020); upstream ``mmseg/models/text_encoder/clip_text_encoder.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.models.layers.clip import ClipLayer
from segship.models.layers.conv import build_norm
from segship.models.layers.transformer import LAYER_NORM
from segship.models.registry import text_encoders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["CLIPTextEncoder"]

_AT_ONCE = 64


@text_encoders.register
class CLIPTextEncoder(nn.Module):
    """A transformer over the tokens of a text, each of which sees those before it.

    Args:
        total_vocab_size: Number of tokens that have an embedding.
        context_length: Tokens of a text.
        embed_dims, num_heads, num_layers: Width of the tokens, attention heads, number of layers.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        output_dims: Width of a text's embedding.
        cat_bg: Whether there is an embedding of the background.
        norm_cfg: The last normalisation.
        dataset_name, vocabulary, templates: The class names, and the sentences that they are put in; kept as they are.
        cache_feature: Whether upstream keeps what it computed; without effect here.
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
        self.dataset_name, self.vocabulary, self.templates = dataset_name, vocabulary, templates
        self.context_length, self.cat_bg = context_length, cat_bg
        self.token_embedding = nn.Embedding(total_vocab_size, embed_dims)
        self.positional_embedding = nn.Parameter(torch.zeros(context_length, embed_dims))
        self.transformer = nn.ModuleList(
            [ClipLayer(embed_dims, num_heads, mlp_ratio=mlp_ratio) for _ in range(num_layers)]
        )
        self.ln_final = build_norm(norm_cfg, embed_dims)[1]
        self.text_projection = nn.Parameter(torch.empty(embed_dims, output_dims))
        nn.init.xavier_uniform_(self.text_projection)  # of zeros, no text would have a direction
        self.logit_scale = nn.Parameter(torch.zeros(()))
        if cat_bg:
            self.bg_embed = nn.Parameter(torch.zeros(1, output_dims))

    def _encode(self, tokens: Tensor) -> Tensor:
        """Tokens (T, L) of texts -> their embeddings (T, output_dims), of length 1."""
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        mask = torch.full((length, length), float("-inf"), device=x.device).triu(1)
        for block in self.transformer:
            x = block(x, mask)
        x = self.ln_final(x)
        ends = x[torch.arange(len(x), device=x.device), tokens.argmax(-1)]  # the end has the greatest number
        return F.normalize(ends @ self.text_projection, dim=-1)

    @torch.no_grad()
    def classifier(self, tokens: Tensor) -> Tensor:
        """Embeddings of classes, that of the background last where there is one.

        Args:
            tokens: int64 (templates, classes, L); what follows a text's end is not seen, so that L may be shorter than
                ``context_length``.

        Returns:
            (classes, output_dims), or one more row; scaled by the learned temperature.
        """
        texts = torch.split(tokens.flatten(0, 1), _AT_ONCE)
        found = torch.unflatten(torch.cat([self._encode(part) for part in texts]), 0, tokens.shape[:2]).mean(0)
        found = found / found.norm(dim=-1, keepdim=True)
        if self.cat_bg:
            found = F.normalize(torch.cat([found, self.bg_embed]), dim=-1)
        return self.logit_scale.exp() * found
