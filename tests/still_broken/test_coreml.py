"""Faults of coremltools that Segship tells its users of; a test that passes says that the note can go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore")


class OwnSizes(torch.nn.Module):
    """Computes with the sizes of a tensor, as SegFormer's attention does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        return x.flatten(2).reshape(batch, channels, int(height) * int(width) // 2, 2)


class Resized(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(F.adaptive_avg_pool2d(x, 2), x.shape[2:], mode="bilinear")


def convert(module: torch.nn.Module, shape: object) -> None:
    coremltools = pytest.importorskip("coremltools", reason="pip install segship[coreml]")
    traced = torch.jit.trace(module.eval(), torch.rand(1, 4, 8, 8))
    coremltools.convert(
        traced, inputs=[coremltools.TensorType(shape=shape)], convert_to="mlprogram", skip_model_load=True
    )


@pytest.mark.xfail(reason="drop the gap `networks` of backends/coreml.py when this passes")
def test_a_network_that_computes_with_its_sizes_is_translated() -> None:
    """9.0 beside NumPy 2.4: a size is an array of one number, which `int` no longer takes."""
    assert tuple(map(int, np.__version__.split(".")[:2])) >= (2, 4), "the fault needs NumPy 2.4"
    convert(OwnSizes(), (1, 4, 8, 8))


@pytest.mark.xfail(reason="drop the gap `dynamic` of backends/coreml.py when this passes")
def test_poolings_and_resizes_of_free_sizes_are_translated() -> None:
    coremltools = pytest.importorskip("coremltools", reason="pip install segship[coreml]")
    free = coremltools.RangeDim(8, 512)
    convert(Resized(), (1, 4, free, free))
