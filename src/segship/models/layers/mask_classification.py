"""Segmentation as masks that each have a class, and what semantic logits they sum up to.

Source: MaskFormer (arXiv:2107.06278); upstream ``mmseg/models/decode_heads/maskformer_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["MaskClassificationHead"]


class MaskClassificationHead(nn.Module):
    """Base of the heads whose queries each end as a mask and a distribution over classes.

    The logits are sums of products of probabilities, not linear in what the network computes at its own resolution:
    masks are resized to the image before they are squashed, so the image's size is an input of ``forward``.

    Args:
        feat_channels: Width of the queries.
        mask_channels: Channels of the map that the masks are made of.
        num_classes: Number of classes; one more stands for "no object".
        align_corners: How the logits are resized should the size differ; the masks themselves never are that way.
    """

    needs_input_size = True
    threshold: float | None = None

    def __init__(self, feat_channels: int, mask_channels: int, *, num_classes: int, align_corners: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.out_channels = num_classes
        self.align_corners = align_corners
        self.cls_embed = nn.Linear(feat_channels, num_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(),
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(),
            nn.Linear(feat_channels, mask_channels),
        )

    def masks(self, queries: Tensor, mask_features: Tensor) -> Tensor:
        """Mask logits.

        Args:
            queries: (N, Q, feat_channels), normalised.
            mask_features: (N, mask_channels, h, w).

        Returns:
            (N, Q, h, w).
        """
        size = (mask_features.shape[2], mask_features.shape[3])
        return torch.unflatten(self.mask_embed(queries) @ mask_features.flatten(2), 2, size)

    def semantic(self, queries: Tensor, masks: Tensor, size: Size) -> Tensor:
        """Semantic logits: for each class the sum over queries of the class's and the mask's probability.

        Args:
            queries: (N, Q, feat_channels), normalised.
            masks: (N, Q, h, w) mask logits.
            size: (H, W) of the image.

        Returns:
            (N, num_classes, H, W).
        """
        classes = self.cls_embed(queries).softmax(-1)[..., :-1]
        # Spelt out: engines cut a sigmoid off near 1e-8, and where no mask is on, smaller ones decide the label.
        probabilities = 1 / (1 + resize(-masks, size).exp())
        return torch.unflatten(classes.transpose(1, 2) @ probabilities.flatten(2), 2, tuple(size))
