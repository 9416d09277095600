from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segship.capture import CaptureOptions, capture
from segship.core.spec import SizeRule
from segship.models.backbones.resnet import ResNet
from segship.models.backbones.swin import SwinTransformer
from segship.models.heads.uper import UPerHead
from segship.networks.network import Network
from segship.networks.wrapped import WrappedNetwork


class Small(Network):
    align_corners, num_classes, out_channels, threshold = False, 4, 4, None

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(18, base_channels=8)
        self.head = UPerHead(in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8, num_classes=4)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.backbone(x))
        return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch 2.13; 2.14 and newer
def test_a_head_of_several_maps_becomes_torchscript(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    capture(network, tmp_path / "model.pt", CaptureOptions(size=(64, 96), dynamic=False), format="torchscript")
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        found = torch.jit.load(str(tmp_path / "model.pt"))(image)
        assert np.allclose(found, network.logits(image), atol=1e-6)


class Windows(Network):
    """Swin's tiny one, narrow, whose last stage is smaller than a window at the sizes that networks are traced at."""

    align_corners, num_classes, out_channels, threshold = False, 4, 4, None

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SwinTransformer(embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4))
        self.head = UPerHead(in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8, num_classes=4)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.backbone(x))
        return found


def test_windows_are_counted_anew_at_every_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Windows().eval()
    capture(network, tmp_path / "model.pt2", CaptureOptions(size=(128, 192)), format="pt2")
    program = torch.export.load(tmp_path / "model.pt2").module(check_guards=False)
    for size in ((1, 3, 181, 362), (3, 3, 96, 160), (1, 3, 250, 64)):
        image = torch.rand(*size)
        with torch.inference_mode():
            found, expected = program(image), network.logits(image)
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, atol=1e-5)


class Halves(nn.Module):
    """A maximum that rounds sizes up, resized and joined to what it was made of: right at multiples of four."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        half = self.first(image)
        quarter = nn.functional.max_pool2d(half, 3, 2, ceil_mode=True)
        return torch.cat([nn.functional.interpolate(quarter, scale_factor=2), half], 1)


def test_sides_that_must_be_multiples_stay_free(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = WrappedNetwork(Halves(), 8, sizes=SizeRule(multiple_of=4)).eval()
    capture(network, tmp_path / "model.pt2", CaptureOptions(size=(64, 96)), format="pt2")
    program = torch.export.load(tmp_path / "model.pt2").module(check_guards=False)
    for size in ((1, 3, 68, 100), (3, 3, 128, 44)):
        image = torch.rand(*size)
        with torch.inference_mode():
            assert torch.equal(program(image), network.logits(image))
