"""int8 of the engines for phones: the same questions to both of their quantizers, on a network of a few layers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segship.backends import find_backend
from segship.core.artifacts import Backend, Graph, TensorInfo
from segship.core.target import Shape, Target
from segship.quantize import Reduced, quantize

SIZE = (24, 32)
NAMES = ("litert", "executorch")
pytestmark = pytest.mark.filterwarnings("ignore")  # engines' own


class Network(nn.Module):
    """Convolutions of three kinds, a maximum with a margin, a sum, and a Softmax over channels that stays a float."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.each = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        wide = nn.functional.max_pool2d(self.first(image), 3, stride=1, padding=1)
        weighted = wide * wide.softmax(1)
        return self.last(self.each(weighted) + wide)


def inputs(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1, 3, *SIZE)).astype(np.float32) for _ in range(count)]


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module", params=NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen = request.config.getoption("--backends")
    if chosen and request.param not in chosen.split(","):
        pytest.skip("not among --backends")
    found = find_backend(request.param)
    missing = [module for module in found.INFO.modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{found.INFO.title} is not installed here: pip install segship[{found.INFO.extra}]")
    return found


@pytest.fixture(scope="module")
def quantized(backend: Backend, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Reduced:
    return _quantized(backend, network, tmp_path_factory.mktemp("graph"))


def _quantized(backend: Backend, network: nn.Module, folder: Path) -> Reduced:
    target = Target(backend=backend.INFO.title.lower(), precision="int8", shape=Shape.only(*SIZE))
    return quantize(_graph(network, folder), target, backend, inputs(8))


def _graph(network: nn.Module, folder: Path) -> Graph:
    path = folder / "model.pt2"
    image, logits = (1, 3, *SIZE), (1, 4, SIZE[0] // 2, SIZE[1] // 2)
    torch.export.save(torch.export.export(network, (torch.zeros(image),)), path)
    return Graph(
        path,
        "pt2",
        (TensorInfo(name="image", dtype="float32", shape=image),),
        (TensorInfo(name="logits", dtype="float32", shape=logits),),
    )


def difference(quantized: Reduced, kept: tuple[str, ...], backend: Backend, network: nn.Module, folder: Path) -> float:
    """Mean difference of the engine's logits from the network's, on images that calibration has not seen."""
    folder.mkdir()
    session = backend.open(quantized.build(kept, folder, lambda graph: graph))
    worst = []
    for image in inputs(10)[8:]:
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)).numpy()
        found = session.run({"image": image})["logits"]
        assert found.dtype == np.float32
        worst.append(float(np.abs(found - expected).mean() / np.abs(expected).max()))
    return max(worst)


def test_int8_is_near_the_network_and_giving_everything_back_is_the_network(
    quantized: Reduced, backend: Backend, network: Network, tmp_path: Path
) -> None:
    whole = difference(quantized, (), backend, network, tmp_path / "int8")
    # Eight bits: a step is 1/255 of the range, and a handful of layers add theirs.
    assert 1e-4 < whole < 5 / 255
    assert difference(quantized, quantized.layers, backend, network, tmp_path / "floats") < 1e-5


class Attention(nn.Module):
    """Projections that share one weight and one bias, of which each takes a slice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.Conv2d(8, 4, 1)
        nn.init.normal_(self.attention.in_proj_bias)

    def forward(self, image: Tensor) -> Tensor:
        wide = self.first(image)
        tokens = wide.flatten(2).transpose(1, 2)
        few = tokens[:, ::4]
        found = self.attention(tokens, few, few, need_weights=False)[0] + tokens
        return self.last(found.transpose(1, 2).reshape(wide.shape))


def test_projections_of_one_weight_are_quantised(backend: Backend, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Attention().eval().requires_grad_(requires_grad=False)
    quantized = _quantized(backend, network, tmp_path)
    assert any("attention" in name for name in quantized.layers)
    assert difference(quantized, (), backend, network, tmp_path / "int8") < 5 / 255


class Parts(Attention):
    """Slices of weights: of an attention's projections, and of a convolution along its inputs, as of joined maps."""

    def __init__(self) -> None:
        super().__init__()
        self.joined = nn.Conv2d(16, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        found = super().forward(image)
        first, second = (nn.functional.conv2d(self.first(image), part) for part in self.joined.weight.split(8, 1))
        return found + first - second


@pytest.mark.parametrize(("floats", "most"), [(False, 5 / 255), (True, 1e-6)])
def test_parts_of_weights_are_weights(backend: Backend, floats: bool, most: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Parts().eval().requires_grad_(requires_grad=False)
    quantized = _quantized(backend, network, tmp_path)
    kept = quantized.layers if floats else ()
    assert difference(quantized, kept, backend, network, tmp_path / "engine") < most
    if backend.INFO.title == "ExecuTorch":  # all by XNNPACK, and no row is looked for that a mask has emptied
        content = (tmp_path / "engine" / "model.pte").read_bytes()
        assert not [kernel for kernel in (b"aten::convolution", b"aten::addmm", b"aten::any") if kernel in content]


def test_a_program_of_floats_is_the_network(backend: Backend, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Parts().eval().requires_grad_(requires_grad=False)
    target = Target(backend=backend.INFO.title.lower(), shape=Shape.only(*SIZE))
    engine = backend.convert(_graph(network, tmp_path), target, tmp_path)
    (image,) = inputs(1)
    found = backend.open(engine).run({"image": image})["logits"]
    np.testing.assert_allclose(found, network(torch.from_numpy(image)).numpy(), atol=1e-5)


class Averages(nn.Module):
    """Means of windows whose margin of zeros counts, in one axis, in both, and not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        wide = self.first(image)
        halves = [
            nn.functional.avg_pool2d(wide, 3, stride=2, padding=1),
            nn.functional.avg_pool2d(wide, (2, 5), stride=2, padding=(0, 2)),
            nn.functional.avg_pool2d(wide, 3, stride=2, padding=1, count_include_pad=False),
            nn.functional.avg_pool2d(wide, 2),
        ]
        return self.last(halves[0] + 2 * halves[1] - halves[2] + halves[3])


@pytest.mark.parametrize(("floats", "most"), [(False, 5 / 255), (True, 1e-6)])
def test_windows_with_a_margin_are_averaged(backend: Backend, floats: bool, most: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Averages().eval()
    quantized = _quantized(backend, network, tmp_path)
    kept = quantized.layers if floats else ()
    assert difference(quantized, kept, backend, network, tmp_path / "engine") < most
    if backend.INFO.title == "ExecuTorch":  # by XNNPACK: the file would name a kernel of ExecuTorch's own
        assert b"aten::avg_pool2d" not in (tmp_path / "engine" / "model.pte").read_bytes()


def test_layers_are_named_after_the_networks_modules(quantized: Reduced) -> None:
    named = " ".join(quantized.layers)
    assert all(module in named for module in ("first", "each", "last"))
    assert len(set(quantized.layers)) == len(quantized.layers)


def test_softmax_stays_in_floating_point(quantized: Reduced) -> None:
    assert not any("softmax" in name for name in quantized.layers)


def test_the_ranking_holds_every_layer_once(quantized: Reduced) -> None:
    seen: list[tuple[int, int]] = []
    order = quantized.rank(inputs(1), lambda done, every: seen.append((done, every)))
    assert sorted(name for name, _ in order) == sorted(quantized.layers)
    assert seen[-1] == (len(quantized.layers), len(quantized.layers))


def test_the_file_is_smaller_in_int8(quantized: Reduced, tmp_path: Path) -> None:
    sizes = []
    for name, kept in (("int8", ()), ("float32", quantized.layers)):
        folder = tmp_path / name
        folder.mkdir()
        engine = quantized.build(kept, folder, lambda graph: graph)
        content = (folder / engine.files[0]).read_bytes()
        sizes.append(sum(1 for weight in _float_weights() if weight in content))
    assert sizes[0] < sizes[1]


def _float_weights() -> list[bytes]:
    """The first convolution's weights as a file holds them that has them in float32, whatever their layout."""
    torch.manual_seed(0)
    return [np.float32(value).tobytes() for value in Network().first.weight.detach().numpy().ravel()[:64]]
