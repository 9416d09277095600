from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segship.core.errors import UnsupportedError
from segship.models.heads.point import PointHead


def head(**options: Any) -> PointHead:
    torch.manual_seed(0)
    return PointHead([4], 6, num_classes=3, in_index=[0], num_fcs=1, **options).eval()


def everywhere(network: PointHead, x: Tensor, coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """What the perceptron says at every cell: sampling at cell centres is a bilinear resize with zeros outside."""

    def sample(y: Tensor) -> Tensor:
        identity = torch.eye(2, 3).expand(len(y), 2, 3)
        return F.grid_sample(y, F.affine_grid(identity, [len(y), 1, *size], align_corners=False), align_corners=False)

    guess = sample(coarse).flatten(2)
    hidden = network.fcs[0](torch.cat([sample(x).flatten(2), guess], 1))
    logits: Tensor = network.fc_seg(torch.cat([hidden, guess], 1))
    return logits.reshape(*logits.shape[:2], *size)


def test_every_cell_is_classified_anew_where_there_are_fewer_than_points() -> None:
    network = head(subdivision_steps=1, subdivision_num_points=10_000)
    x, coarse = torch.randn(2, 4, 9, 14), torch.randn(2, 3, 5, 7)
    with torch.inference_mode():
        torch.testing.assert_close(network([x], coarse), everywhere(network, x, coarse, (10, 14)))


def test_only_the_most_doubtful_cells_change() -> None:
    network = head(subdivision_steps=1, subdivision_num_points=20)
    x, coarse = torch.randn(1, 4, 10, 14), torch.randn(1, 3, 5, 7)
    with torch.inference_mode():
        before = F.interpolate(coarse, scale_factor=2, mode="bilinear")
        best = before.sort(dim=1, descending=True).values
        margin = (best[:, 0] - best[:, 1])[0]
        doubtful = margin <= margin.flatten().sort().values[19]
        expected = torch.where(doubtful, everywhere(network, x, coarse, (10, 14)), before)
        torch.testing.assert_close(network([x], coarse), expected)


def test_an_exported_head_takes_other_sizes_even_those_with_fewer_cells_than_points() -> None:
    network = head(subdivision_num_points=100)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = network

        def forward(self, x: Tensor, coarse: Tensor) -> Tensor:
            logits: Tensor = self.head([x], coarse)
            return logits

    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    inputs = (torch.randn(2, 4, 8, 12), torch.randn(2, 3, 8, 12))
    program = torch.export.export(
        Network(),
        inputs,
        dynamic_shapes=(sizes, sizes),
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    ).module()
    for batch, height, width in ((1, 3, 4), (3, 13, 9)):
        x, coarse = torch.randn(batch, 4, height, width), torch.randn(batch, 3, height, width)
        with torch.inference_mode():
            torch.testing.assert_close(program(x, coarse), network([x], coarse))


def test_other_layers_than_plain_ones_are_refused() -> None:
    with pytest.raises(UnsupportedError):
        PointHead([4], 6, num_classes=3, in_index=[0], norm_cfg={"type": "BN"})
