"""Faults of torch that Segship works around; a test that passes says that its workaround can go."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F


class Pool(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(x, (2, 3))


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x) * 2


def exported(module: torch.nn.Module, path: Path, **options: Any) -> onnxruntime.InferenceSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.rand(1, 2, 8, 9),), path, dynamo=True, verbose=False, **options)
    return onnxruntime.InferenceSession(str(path))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.xfail(reason="drop capture/adaptive_pooling.py when this passes")
def test_adaptive_pooling_of_free_sizes_is_exported(tmp_path: Path) -> None:
    height, width = (torch.export.Dim(name, min=2, max=512) for name in ("height", "width"))
    session = exported(Pool(), tmp_path / "pool.onnx", dynamic_shapes=({2: height, 3: width},))
    image = torch.rand(1, 2, 11, 17)
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    np.testing.assert_allclose(found, Pool()(image).numpy(), atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling ahead of time needs a C++ compiler")
@pytest.mark.xfail(reason="drop ascontiguousarray in backends/_torch.py when this passes")
def test_a_compiled_program_takes_inputs_of_any_layout(tmp_path: Path) -> None:
    program = torch.export.export(Twice().eval(), (torch.rand(1, 3, 8, 8),))
    package = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "twice.pt2"))
    run = torch._inductor.aoti_load_package(package)
    image = torch.rand(1, 8, 8, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(run(image), Twice()(image))


class UpperHalf(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, : -(-x.shape[2] // 2)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.xfail(reason="drop onnxgraph/passes/floor_division.py when this passes")
def test_divisions_of_sizes_are_rounded_down(tmp_path: Path) -> None:
    """The exporter writes Python's ``//`` as ONNX's Div, which rounds towards zero: half of 5 rows became 2."""
    session = exported(UpperHalf(), tmp_path / "half.onnx", dynamic_shapes=({2: torch.export.Dim("rows", max=64)},))
    (found,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 2, 5, 9), np.float32)})
    assert found.shape == (1, 2, 3, 9)
