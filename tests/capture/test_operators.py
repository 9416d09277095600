from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segship.capture import CaptureOptions, capture
from segship.capture.trace.dims import UntraceableError
from segship.core.spec import SizeRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

TRACED, UNTRACED = (24, 40), ((1, 3, 33, 47), (2, 3, 16, 9), (3, 3, 24, 40))


class Layer(nn.Module):
    sizes = SizeRule()
    patch = 1

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer

    def logits(self, image: Tensor) -> Tensor:
        return self.layer(image)


def resized(mode: str, *, align_corners: bool | None = None) -> Callable[[Tensor], Tensor]:
    def resize(x: Tensor) -> Tensor:
        size = (x.shape[2] * 2 - 1, x.shape[3] // 2 + 3)
        return F.interpolate(x, size=size, mode=mode, align_corners=align_corners)

    return resize


def normalised() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, eps=0.1)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return nn.Sequential(nn.ReLU(), norm, nn.Sigmoid())


def in_place(x: Tensor) -> Tensor:
    y = x * 2
    y[:, :1].mul_(3)
    return y + x


def in_place_through_a_view(x: Tensor) -> Tensor:
    y = x * 2
    y.transpose(1, 2)[:, 0].mul_(3)
    y.flatten(1).narrow(1, 2, 5).add_(1)
    return y + x


def linear(*, bias: bool, flat: bool) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 5, bias=bias).requires_grad_(requires_grad=False)

    def apply(x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return layer(x.mean((1, 2)))[:, :, None, None] if flat else layer(x).permute((0, 3, 1, 2))

    return apply


def windows(x: Tensor) -> Tensor:
    height, width = x.shape[2] // 2, x.shape[3] // 2
    x = x.narrow(2, x.shape[2] % 2, 2 * height).narrow(-1, 0, 2 * width)
    x = x.reshape(x.shape[0] * 3, height, 2, width * 2).transpose(-2, -3)
    return torch.reshape(x, (x.shape[0] // 3, 6, height, -1))


LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "batch norm": normalised(),
    "batch norm of the batch": lambda x: F.batch_norm(x, None, None, training=True),
    "bilinear": resized("bilinear", align_corners=False),
    "bilinear, corners aligned": resized("bilinear", align_corners=True),
    "nearest": resized("nearest"),
    "bicubic": resized("bicubic", align_corners=False),
    "bilinear by a factor": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "to one cell": lambda x: F.interpolate(x, size=1, mode="bilinear") + x,
    "transposed convolution": nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1, output_padding=1, groups=3, dilation=2),
    "transposed convolution without bias": nn.ConvTranspose2d(3, 2, 2, stride=2, bias=False),
    "square, or": lambda x: torch.where((x > 0) | (x < -1), x.square(), x),
    "another type": lambda x: (x > 0).to(torch.int64).to(torch.float32) * x.to(torch.float64).to(torch.float32),
    "flatten": lambda x: x.flatten(2).transpose(1, 2).flatten(1)[:, None, None],
    "flatten inner axes": lambda x: (
        x.permute(0, 2, 3, 1).flatten(1, 2)[:, None] + x.transpose(2, 3).flatten(0, 1)[0, 0, 0]
    ),
    "flatten before a free side": lambda x: x.flatten(1, 2)[:, None],
    "unflatten": lambda x: torch.unflatten(x.flatten(2), 2, (x.shape[2], x.shape[3])),
    "unflatten the first": lambda x: torch.unflatten(x.flatten(0, 1), 0, (x.shape[0], 3)) * 2,
    "unflatten to a part that is left over": lambda x: torch.unflatten(x, 1, (-1, 3)).flatten(0, 1),
    "what torch.onnx has to take apart": lambda x: (1 - x).to(torch.float64).float(),
    "subtracted from a number": lambda x: torch.rsub(1 - x, 3, alpha=2),
    "and of integers": lambda x: ((x * 8).long() & (x * 3).long() | (x > 0).long()).float(),
    "and of conditions": lambda x: ((x > 0) & (x < 1)).float(),
    "convolution": nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 3)),
    "convolution of groups": nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False),
    "convolution to the same size": nn.Conv2d(3, 2, 4, padding="same", dilation=2),
    "convolution of one axis": lambda x: F.conv1d(x.flatten(2), torch.ones(2, 3, 1))[:, :, None],
    "linear": linear(bias=True, flat=False),
    "linear without bias": linear(bias=False, flat=False),
    "linear of two axes": linear(bias=True, flat=True),
    "windows": windows,
    "adaptive pooling": nn.AdaptiveAvgPool2d((3, 6)),
    "adaptive pooling to one cell": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive pooling of one axis": nn.AdaptiveAvgPool2d((None, 2)),
    "adaptive pooling of a fixed size": lambda x: F.adaptive_avg_pool2d(x.narrow(2, 0, 8).narrow(3, 0, 7), 3),
    "relu": lambda x: F.relu(x - 1) + torch.relu(x) + x.relu(),
    "relu in place": lambda x: F.relu(2 * x, inplace=True),
    "in place": in_place,
    "in place through a view": in_place_through_a_view,
}


def refuse(*_: object) -> None:
    raise UntraceableError


# torch's translations are torch's to test; ours are the pooling, and the division of lengths.
EXPORTED = (
    "adaptive pooling", "adaptive pooling to one cell", "adaptive pooling of one axis",
    "adaptive pooling of a fixed size", "batch norm", "batch norm of the batch", "bilinear", "in place",
    "in place through a view", "windows",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "way"), [*((name, "traced") for name in LAYERS), *((name, "exported by torch") for name in EXPORTED)]
)
def test_a_layer_is_in_onnx_what_it_is_in_torch(
    name: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "traced":
        monkeypatch.setattr("segship.capture.onnx.trace", refuse)
    network = Layer(LAYERS[name]).eval().requires_grad_(requires_grad=False)
    capture(network, tmp_path / "model.onnx", CaptureOptions(size=TRACED))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    # ONNX Runtime rounds the coordinates of an interpolation to float32, torch those of each corner.
    tolerance = 1e-4 if name.startswith(("bilinear", "bicubic", "to one cell")) else 1e-5
    generator = torch.Generator().manual_seed(1)
    for shape in UNTRACED:
        image = torch.randn(shape, generator=generator)
        (found,) = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(found, network.logits(image).numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["batch norm", "bilinear", "convolution", "nearest", "transposed convolution"])
def test_a_layer_is_one_node(name: str, tmp_path: Path) -> None:
    capture(Layer(LAYERS[name]).eval(), tmp_path / "model.onnx", CaptureOptions(size=TRACED, dynamic=False))
    whole = {"BatchNormalization", "Conv", "ConvTranspose", "Resize"}
    kinds = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert len(kinds) == (3 if name == "batch norm" else 1)
    assert len(whole & set(kinds)) == 1


def test_no_cast_is_left_between_equal_types(tmp_path: Path) -> None:
    capture(Layer(nn.GroupNorm(1, 3)).eval(), tmp_path / "model.onnx", CaptureOptions(size=TRACED))
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert kinds.isdisjoint({"Cast", "CastLike"})


def test_a_captured_network_can_be_forgotten(tmp_path: Path) -> None:
    network = Layer(nn.Conv2d(3, 64, 3)).eval()
    weight = weakref.ref(network.layer.weight)
    capture(network, tmp_path / "model.onnx", CaptureOptions(size=TRACED))
    assert float(weight().detach().abs().sum()) > 0
    del network
    gc.collect()
    assert weight() is None
