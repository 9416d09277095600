"""K-Net: a head whose classifier is refined for every image.

Source: K-Net (arXiv:2106.14855); upstream ``mmseg/models/decode_heads/knet_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.layers.kernel_update import KernelUpdateHead
from segship.models.layers.nested import build_nested
from segship.models.parts import build_part
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["IterativeDecodeHead"]

# Upstream takes the features of these as they are, and of heads built on them only what the base computes.
_GENERATORS = ("FCNHead", "DepthwiseSeparableFCNHead", "PSPHead", "ASPPHead", "UPerHead")


@heads.register
class IterativeDecodeHead(nn.Module):
    """Another head's features and classifier, and rounds in which its kernels and masks improve each other.

    Args:
        num_stages: Number of rounds.
        kernel_generate_head: ``type`` and keywords of the other head.
        kernel_update_head: ``type`` and keywords of the `KernelUpdateHead` of each round.

    Raises:
        ConfigError: There is not one update head for each round, or a head is of a kind that cannot be used.
    """

    def __init__(self, num_stages: int, kernel_generate_head: Cfg, kernel_update_head: Sequence[Cfg]) -> None:
        super().__init__()
        if num_stages != len(kernel_update_head):
            raise ConfigError(f"num_stages is {num_stages}, there are {len(kernel_update_head)} kernel update heads")
        if {cfg.get("type") for cfg in kernel_update_head} - {"KernelUpdateHead"}:
            raise ConfigError("the kernel update heads of an IterativeDecodeHead must be of type KernelUpdateHead")
        head = build_part(heads, kernel_generate_head)
        if not isinstance(head, DecodeHead) or type(head).__name__ not in _GENERATORS:
            raise ConfigError(
                f"an IterativeDecodeHead cannot start from a {type(head).__name__}, only from {', '.join(_GENERATORS)}"
            )
        head.classifies = False
        self.kernel_generate_head = head
        self.kernel_update_head = nn.ModuleList([build_nested(KernelUpdateHead, cfg) for cfg in kernel_update_head])
        self.align_corners = head.align_corners
        self.num_classes = head.num_classes
        self.out_channels = head.num_classes
        self.threshold = head.threshold

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.kernel_generate_head(features)
        classifier = self.kernel_generate_head.conv_seg
        masks = classifier(x)
        kernels = classifier.weight.flatten(1).expand(x.shape[0], -1, -1)
        for update in self.kernel_update_head:
            masks, kernels = update(x, kernels, masks)
        return masks
