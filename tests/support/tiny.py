"""A network small enough to export in a second, with what exporters get wrong: adaptive pooling and odd strides."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segship.models.segmentor import EncoderDecoder
from segship.networks.resample import adaptive_avg_pool2d, resize


class TinyBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.conv2(self.bn(self.conv1(x)).relu()),)


class TinyHead(nn.Module):
    align_corners = False
    num_classes = 4
    out_channels = 4
    threshold = None

    def __init__(self) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(32, 4, 1)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        x = features[0]
        pooled = [resize(adaptive_avg_pool2d(x, bins), x.shape[2:]) for bins in (1, 2, 3)]
        return self.conv_seg(torch.cat([x, *pooled], dim=1))


def tiny_network() -> EncoderDecoder:
    torch.manual_seed(0)
    network = EncoderDecoder(TinyBackbone(), TinyHead())
    return network.eval()
