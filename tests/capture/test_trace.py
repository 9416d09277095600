from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from families import FAMILIES
from segship import load_network
from segship.capture import CaptureOptions, capture
from segship.capture.trace import tracer
from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.registry import FUNCTIONS, function
from segship.capture.trace.tracer import trace
from segship.core.spec import SizeRule
from segship.onnxgraph.file import write
from support.references import configs

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


def traced(layer: Callable[[Tensor], Tensor], path: Path, *, opset: int | None = None) -> onnx.ModelProto:
    network: Any = Layer(layer).eval().requires_grad_(requires_grad=False)
    model, weights = trace(network, CaptureOptions(TRACED, opset=opset))
    write(model, weights, path)
    return onnx.load(path)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def sine(x: Tensor) -> Tensor:
    rows, columns = (torch.arange(1, side + 1, dtype=x.dtype, device=x.device) for side in x.shape[2:])
    grid = torch.stack((rows[:, None].expand(-1, x.shape[3]), columns[None].expand(x.shape[2], -1)), dim=2)
    return x + (grid.sin() / x.shape[3]).sum(-1)


def chosen(x: Tensor) -> Tensor:
    count = torch.sym_min(x.shape[2] * x.shape[3], 20)
    best = x.flatten(2).topk(count, dim=2)
    return x.flatten(2).scatter(2, best.indices, -best.values).unflatten(2, x.shape[2:])


def padded(x: Tensor) -> Tensor:
    down, right = (torch.sym_max((side + 6) // 7 * 7 - side, 0) for side in x.shape[2:])
    y = F.pad(x, (0, right, 0, down))
    y = y.reshape(y.shape[0], 3, y.shape[2] // 7, 7, y.shape[3] // 7, 7).amax((3, 5))
    return torch.roll(y, (1, -2), (2, 3)) - 1


def attention(mask: Callable[[Tensor], Tensor | None]) -> Callable[[Tensor], Tensor]:
    def attend(x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)[:, None].repeat(1, 2, 1, 1)
        y = F.scaled_dot_product_attention(tokens, tokens * 2, tokens + 1, attn_mask=mask(tokens), scale=0.3)
        return torch.unflatten(y.transpose(2, 3), 3, x.shape[2:]).flatten(0, 1)[:, None].flatten(1, 2)

    return attend


def shared_heads(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)[:, None].repeat(1, 4, 1, 1)
    few = torch.cat((tokens[:, :1] * 0.2, tokens[:, :1] * 0.1 + 1), 1)
    y = F.scaled_dot_product_attention(tokens, few, few - 1, enable_gqa=True)
    return torch.unflatten(y.transpose(2, 3), 3, x.shape[2:]).flatten(1, 2)


def lengths(x: Tensor) -> Tensor:
    sides = torch.as_tensor([(x.shape[2], x.shape[3]), (7, 5)], dtype=torch.long)
    starts = torch.cat((sides.new_zeros((1,)), sides.prod(1).cumsum(0)))
    torch._check_tensor_all_with(ValueError, sides[:, 0] >= 1, lambda: "never")
    return x + (starts.sum() / torch.tensor([[x.shape[3], 2]]).prod()).float()


def normalised() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 2), nn.BatchNorm2d(3)
    )
    for norm in layer[1::2]:
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(tensor)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return layer


def activations(x: Tensor) -> Tensor:
    every = (F.gelu, F.elu, F.hardswish, F.hardtanh, F.silu, F.hardsigmoid, F.softplus, torch.sigmoid, torch.tanh)
    others = [F.leaky_relu(x, 0.2), F.relu6(4 * x), F.prelu(x, TABLE[0]), x.softmax(1)]
    return torch.cat([*(function(x) for function in every), *others], dim=1)


class ManyHeads(nn.Module):
    """Attention as torch's own layer has it, where a condition forbids some of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attend = nn.MultiheadAttention(6, 2).eval()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.repeat(1, 2, 1, 1).flatten(2).permute(2, 0, 1)
        far = (tokens[:, :, :1] > 1).permute(1, 2, 0).repeat(2, 1, 1).expand(-1, tokens.shape[0], -1)
        both = (self.attend(tokens, tokens, tokens)[0], self.attend(tokens, tokens, tokens, attn_mask=far)[0])
        return torch.stack(both).permute(2, 3, 1, 0)


def whole_numbers(x: Tensor) -> Tensor:
    n = (x * 9).round().long()
    parts = (n // 4, n % 4, torch.div(n, 3, rounding_mode="floor"), (x * 3) // 2, x.remainder(0.7), n.clamp_min(-2))
    return torch.cat([part.float() for part in parts], dim=1)


GRID = torch.linspace(-1, 2, 2 * 7 * 9).reshape(1, 2, 7, 9).sin()
TABLE = torch.linspace(-1, 1, 12).reshape(4, 3)

LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "positions": sine,
    "the greatest few": chosen,
    "heads that share keys": shared_heads,
    "tensors of lengths": lengths,
    "windows and their remainder": padded,
    "attention": attention(lambda _: None),
    "attention with a mask": attention(lambda x: torch.where(x[..., :1] > 0, 0.0, -3.0).transpose(2, 3)),
    "attention with a condition": attention(lambda x: (x[..., :1] > -9).transpose(2, 3)),
    "normalised convolutions": normalised(),
    "groups and layers normalised": lambda x: F.group_norm(F.layer_norm(x.transpose(1, 3), (3,)).transpose(1, 3), 3),
    "instances normalised": lambda x: F.instance_norm(x, weight=TABLE[0], bias=TABLE[1]),
    "poolings": lambda x: (
        F.interpolate(F.max_pool2d(x, 3, 2, 1), x.shape[2:])
        + F.interpolate(F.avg_pool2d(x, (2, 3), 2, (1, 0), count_include_pad=False), x.shape[2:])
        + F.interpolate(F.max_pool2d(x, 2, ceil_mode=True), x.shape[2:])
    ),
    "activations": activations,
    "arithmetic": lambda x: ((1 - x) * 2 / 3 + x**2 - 2.0 ** -x.abs()).clamp(min=-1) - (1 / (x.exp() + 1)).sqrt().log(),
    "comparisons": lambda x: (((x >= 0) ^ (x < 1)) | ~(x != x.amax((2, 3), keepdim=True)) & (x <= 2)).float(),
    "parts": lambda x: torch.cat([x[:, 0, None], x[:, -1:, ...], x.narrow(1, 1, 2)[:, [0]], *x.chunk(3, 1)], dim=1),
    "one of an axis": lambda x: torch.roll(x.select(1, 2)[:, None] + x[..., -1:, :], (0, 1), (2, 3)),
    "parts of weights": lambda x: (
        x + TABLE.t().index_select(1, torch.tensor([2]))[:, :, None] + TABLE[1, :, None, None]
    ),
    "sampled": lambda x: F.grid_sample(
        x, torch.stack((x[:, 0], x[:, 1]), dim=3).tanh(), align_corners=False, padding_mode="border"
    ),
    "a length among numbers": lambda x: x / x.shape[2] + torch.full((), x.shape[3], dtype=x.dtype),
    "a length divided below zero": lambda x: x + torch.full((), (20 - x.shape[2]) // 3 + (7 - x.shape[3]) // 2),
    "made of lengths alone": lambda x: torch.zeros(1, 1, *x.shape[2:]) + torch.ones_like(x) * x.shape[0],
    "enlarged and made smaller by factors": lambda x: F.interpolate(
        F.interpolate(x, scale_factor=3, mode="bilinear"), scale_factor=0.5, mode="bilinear"
    ),
    "resized with antialias": lambda x: torch.cat(
        [F.interpolate(x, (x.shape[2] // 2, 9), mode=mode, antialias=True) for mode in ("bicubic", "bilinear")]
    ),
    "positions resized with antialias": lambda x: torch.cat(
        [
            F.interpolate(GRID, (x.shape[2] // divisor, x.shape[3] + 1), mode=mode, antialias=True)[:, :, :3]
            for mode in ("bicubic", "bilinear")
            for divisor in (1, 4)
        ],
        dim=1,
    ).expand(x.shape[0], -1, -1, -1),
    "normalised without weights": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)).eval(),
    "many heads": ManyHeads(),
    "whole numbers": whole_numbers,
    "conditions counted": lambda x: ((x > 0) * (x < 1)).sum(1, keepdim=True) * x + (x > 0).cumsum(2),
    "norms": lambda x: (
        F.normalize(x, dim=1) + torch.linalg.vector_norm(x, 1, 2, keepdim=True) + x.norm(dim=3)[..., None]
    ),
    "functions of others": lambda x: torch.cat(
        [
            F.mish(x),
            x.sign(),
            (x.abs() + 1).rsqrt(),
            (x.abs() + 1).reciprocal(),
            x.cumsum(2),
            x[:, :1].expand_as(x),
            torch.stack(x.unbind(1)[::-1], 1),
            torch.einsum("bchw,dc->bdhw", x, TABLE),
            torch.logical_and(x, x > 0).logical_or(x < -1).float(),
            torch.logical_not(x > 0).logical_xor(x > 1).float(),
        ],
        dim=1,
    ),
    "pixels out of channels": lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "pooled along one axis": lambda x: F.adaptive_avg_pool1d(x.flatten(2), 5)[..., None],
    "changed in place": lambda x: (2 * x).add_(x).relu_(),
}


@pytest.mark.parametrize("opset", [None, 18])
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_traced_is_what_torch_computes(name: str, opset: int | None, tmp_path: Path) -> None:
    model = traced(LAYERS[name], tmp_path / "model.onnx", opset=opset)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    generator = torch.Generator().manual_seed(1)
    for shape in UNTRACED:
        image = torch.randn(shape, generator=generator)
        (found,) = session.run(None, {"image": image.numpy()})
        tolerance = 1e-4 if name == "sampled" else 1e-5  # places between cells are rounded otherwise
        np.testing.assert_allclose(found, LAYERS[name](image).detach().numpy(), rtol=0, atol=tolerance)


def test_attention_is_one_operator_where_the_opset_has_it(tmp_path: Path) -> None:
    assert kinds(traced(LAYERS["attention"], tmp_path / "new.onnx")).count("Attention") == 1
    old = traced(LAYERS["attention"], tmp_path / "old.onnx", opset=20)
    assert old.opset_import[0].version == 20
    assert "Attention" not in kinds(old)


def test_normalisation_is_part_of_the_convolution_before_it(tmp_path: Path) -> None:
    model = traced(LAYERS["normalised convolutions"], tmp_path / "model.onnx")
    assert kinds(model) == ["Conv", "ConvTranspose"]
    assert [node.name for node in model.graph.node] == ["layer.0", "layer.2"]


class Branches(nn.Module):
    """One convolution, and two normalisations of what it returns."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.first, self.second = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        nn.init.normal_(self.second.running_mean)
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.first(y) - self.second(self.conv(2 * x) if self.twice else y)


@pytest.mark.parametrize(
    ("twice", "nodes"),
    [
        (True, ["Conv", "Conv", "Mul", "Sub"]),
        (False, ["BatchNormalization", "BatchNormalization", "Conv", "Sub"]),
    ],
)
def test_a_convolution_is_folded_once_for_each_use_and_not_where_others_see_its_result(
    twice: bool, nodes: list[str], tmp_path: Path
) -> None:
    layer = Branches(twice=twice).eval()
    model = traced(layer, tmp_path / "model.onnx")
    assert sorted(kinds(model)) == nodes
    assert len({node.name for node in model.graph.node}) == 4
    image = torch.randn(1, 3, 5, 6)
    (found,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"image": image.numpy()})
    np.testing.assert_allclose(found, layer(image).detach().numpy(), atol=1e-6)


def test_lengths_come_from_the_input_and_not_from_what_lies_between_layers(tmp_path: Path) -> None:
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def layer(x: Tensor) -> Tensor:
        y = F.max_pool2d(conv(x), 3, 2, 1)
        return F.interpolate(F.conv2d(y, torch.ones(2, 4, 3, 3), stride=2), y.shape[2:], mode="bilinear")

    model = traced(layer, tmp_path / "model.onnx")
    (resize,) = (node for node in model.graph.node if node.op_type == "Resize")
    read = [node.input[0] for node in model.graph.node if node.op_type == "Shape"]
    assert set(read) == {"image", resize.input[0]}  # the last for its batch and channels alone
    assert read.count(resize.input[0]) == 1


def test_what_is_picked_from_a_small_table_many_times_is_picked_when_the_graph_runs(tmp_path: Path) -> None:
    table, index = torch.randn(50, 4), torch.arange(100_000) % 50
    model = traced(lambda x: x + table.index_select(0, index).sum(), tmp_path / "model.onnx")
    assert "Gather" in kinds(model)
    assert (tmp_path / "model.onnx").stat().st_size < 1_000_000  # the indices


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: x * (2 if x.shape[2] > 100 else 3),
        lambda x: x * float(x.shape[2]),
        lambda x: x * int(x.shape[2] / 2),
        lambda x: x * x.max(),
        lambda x: x if x.sum() > 0 else -x,
        list,
        lambda x: x.numpy(),
        lambda x: x.mul_(2).view(-1)[0].add_(1),
        lambda x: F.interpolate(x, scale_factor=2, mode="area"),
        lambda x: x.split(2, 3)[0],
        lambda x: (x, x),
        lambda x: x * len(range(x.shape[2])),
        lambda x: x * (2.0 / x.shape[2]),
        lambda x: x + sum(x[:, :, :1] * row for row in range(min(x.shape[0], 9))),
        lambda x: x + torch.rand(1),
        lambda x: x * (1 // (x.dim() - 4)),
    ],
)
def test_what_another_size_would_change_is_not_traced(layer: Callable[[Tensor], Any], tmp_path: Path) -> None:
    with pytest.raises(UntraceableError):
        traced(layer, tmp_path / "model.onnx")


class Remembers(nn.Module):
    """Keeps what it has seen, as many modules of others do."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Any = None
        self.sizes: list[int] = []
        self.register_buffer("grid", None)

    def forward(self, x: Tensor) -> Tensor:
        self.last, self.grid, self.new = x, x * 2, 1
        self.sizes.append(x.shape[2])
        return x + self.grid


def test_a_traced_module_is_left_as_it_was(tmp_path: Path) -> None:
    module = Remembers()
    before = dict(vars(module))
    traced(module, tmp_path / "model.onnx")
    assert (module.last, module.sizes, module.grid) == (None, [], None)
    assert vars(module) == before | {"training": False}


class Counts(nn.Module):
    def __init__(self, count: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(2))
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        self.count(self.calls)
        return x + self.calls[0]


def set_first(calls: Tensor) -> None:
    calls[0] = 1


@pytest.mark.parametrize(
    "count",
    [
        lambda calls: calls.add_(1),
        lambda calls: calls[:1].add_(1),
        lambda calls: torch.add(calls, 1, out=calls),
        lambda calls: torch.ops.aten.add_.Tensor(calls, torch.ones(2)),
        set_first,
    ],
)
def test_a_module_that_changes_its_own_weights_is_refused_before_it_does(
    count: Callable[[Tensor], object], tmp_path: Path
) -> None:
    module = Counts(count)
    with pytest.raises(UntraceableError, match="its own weights"):
        traced(module, tmp_path / "model.onnx")
    assert module.calls.tolist() == [0, 0]


def test_what_is_not_known_is_exported_by_torch(tmp_path: Path) -> None:
    network: Any = Layer(lambda x: torch.fmod(x, 2) + 1).eval()
    capture(network, tmp_path / "model.onnx", CaptureOptions(size=TRACED))
    image = torch.randn(2, 3, 7, 9)
    (found,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"image": image.numpy()})
    np.testing.assert_allclose(found, network.logits(image).numpy(), atol=1e-5)


def test_tracing_does_without_what_takes_long_to_load(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from segship.capture import CaptureOptions, capture
from support.tiny import tiny_network

capture(tiny_network(), Path({str(tmp_path / "model.onnx")!r}), CaptureOptions(size=(48, 64)))
print([name for name in ("torch._dynamo", "sympy", "onnxscript", "onnx_ir") if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_traced_and_makes_no_number_of_a_length(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "_has_foreign_modules", lambda _: True)
    network = load_network(configs() / family / f"{FAMILIES[family][2]}.py")
    model, weights = trace(network, CaptureOptions(network.sizes.nearest(128, 192)))
    names = {parameter for parameter, _ in network.named_parameters()}
    assert weights.keys() & names
    assert {node.domain for node in model.graph.node} == {""}


def test_a_function_is_declared_once() -> None:
    with pytest.raises(ValueError, match="relu is declared twice"):
        function("relu")(lambda: None)
    assert FUNCTIONS["relu"].shape is not None
