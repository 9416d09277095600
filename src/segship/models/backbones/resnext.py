"""ResNeXt: ResNet whose 3x3 convolutions are grouped.

Source: ResNeXt (arXiv:1611.05431); upstream ``mmseg/models/backbones/resnext.py`` (Apache-2.0).
"""

from __future__ import annotations

from segship.models.backbones.resnet import ResNet
from segship.models.registry import backbones

__all__ = ["ResNeXt"]


@backbones.register
class ResNeXt(ResNet):
    """`ResNet` of depth 50, 101 or 152; ``groups`` and ``base_width`` say how its bottlenecks are grouped."""

    blocks = {depth: blocks for depth, blocks in ResNet.blocks.items() if depth >= 50}
