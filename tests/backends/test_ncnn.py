from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from segship import load_network
from segship.backends import ncnn as backend
from segship.capture import CaptureOptions, capture
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.errors import BackendError, MissingExtraError
from segship.core.target import Target
from segship.networks.session import EagerSession
from support import fill
from support.references import configs

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in backend.INFO.modules),
        reason="ncnn is not installed here: pip install segship[ncnn]",
    ),
    # Of tracing itself: torch 2.13 warns by the one, 2.14 by the other.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

SHAPE = (1, 3, 16, 24)


class Convolution(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 64, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x))


class Masked(Convolution):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        return x.masked_fill(x < 0.1, 3.0)


def traced(module: torch.nn.Module, path: Path) -> Graph:
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(SHAPE)), str(path))
    info = [TensorInfo(name=name, dtype="float32", shape=shape) for name, shape in _tensors()]
    return Graph(path, "torchscript", (info[0],), (info[1],))


def _tensors() -> list[tuple[str, tuple[int, ...]]]:
    return [("image", SHAPE), ("logits", (1, 64, *SHAPE[2:]))]


def convert(module: torch.nn.Module, folder: Path, target: str = "ncnn_static-16x24") -> Engine:
    engine = folder / target
    engine.mkdir()
    return backend.convert(traced(module, folder / "graph.pt"), Target.parse(target), engine)


def test_fp16_halves_the_weights(tmp_path: Path) -> None:
    sizes = [
        (engine.directory / engine.files[1]).stat().st_size
        for engine in (convert(Convolution(), tmp_path, f"ncnn{kind}_static-16x24") for kind in ("", "-fp16"))
    ]
    assert 0.4 < sizes[1] / sizes[0] < 0.6


def test_what_ncnn_has_no_layer_for_is_named_at_export(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no layer for .*masked_fill.*take another backend"):
        convert(Masked(), tmp_path)
    assert not list((tmp_path / "ncnn_static-16x24").iterdir())


def test_a_graph_that_pnnx_cannot_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "graph.pt").write_bytes(b"not a graph")
    image = TensorInfo(name="image", dtype="float32", shape=SHAPE)
    graph = Graph(tmp_path / "graph.pt", "torchscript", (image,), (image,))
    with pytest.raises(BackendError, match="pnnx cannot translate"):
        backend.convert(graph, Target.parse("ncnn_static-16x24"), tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    engine = convert(Convolution(), tmp_path)
    weights = engine.directory / engine.files[1]
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BackendError, match=r"cannot open .*model\.ncnn\.bin"):
        backend.open(engine)


def test_a_missing_pnnx_is_told_with_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = traced(Convolution(), tmp_path / "graph.pt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "segship\[ncnn\]"'):
        backend.convert(graph, Target.parse("ncnn_static-16x24"), tmp_path)


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no device is called 'cuda'"):
        backend.open(Engine(tmp_path, ("a", "b"), (), ()), device="cuda")


def test_an_engine_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    module = Convolution()
    engine = convert(module, tmp_path)
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, pathlib\n"
        "from segship.backends import ncnn\n"
        "from segship.core.artifacts import Engine, TensorInfo\n"
        f"tensors = [TensorInfo(name=n, dtype='float32', shape=s) for n, s in {_tensors()!r}]\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"engine = Engine(pathlib.Path({str(engine.directory)!r}), {engine.files!r}, tensors[:1], tensors[1:])\n"
        "found = ncnn.open(engine).run({'image': np.load(folder / 'image.npy')})['logits']\n"
        "np.save(folder / 'logits.npy', found)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with torch.inference_mode():
        expected = module(torch.from_numpy(image)).numpy()
    assert np.allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-5)


def assert_same_logits(config: Path, size: tuple[int, int], tmp_path: Path) -> None:
    network = load_network(config)
    fill.fill_network(network)
    graph = capture(network, tmp_path / "model.pt", CaptureOptions(size=size, dynamic=False), format="torchscript")
    folder = tmp_path / "engine"
    folder.mkdir()
    session = backend.open(backend.convert(graph, Target.parse(f"ncnn_static-{size[0]}x{size[1]}"), folder))
    feeds = {"image": fill.image(*size)}
    expected, found = EagerSession(network).run(feeds)["logits"], session.run(feeds)["logits"]
    assert np.abs(expected - found).max() < 1e-4 * np.abs(expected).max()
    assert (expected.argmax(1) == found.argmax(1)).all()


@pytest.mark.slow
def test_a_plain_transformer_with_resized_positions_gives_the_same_logits(tmp_path: Path) -> None:
    assert_same_logits(
        configs() / "segmenter" / "segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py", (96, 128), tmp_path
    )


WINDOWS = """
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3),
    backbone=dict(type='SwinTransformer', embed_dims=16, depths=(2, 2), num_heads=(1, 2), strides=(4, 2),
        out_indices=(0, 1)),
    decode_head=dict(type='FCNHead', in_channels=32, in_index=1, channels=8, num_convs=1, num_classes=3,
        norm_cfg=dict(type='BN')))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
"""


@pytest.mark.slow
def test_windows_shifted_and_padded_give_the_same_logits(tmp_path: Path) -> None:
    (tmp_path / "swin.py").write_text(WINDOWS)
    assert_same_logits(tmp_path / "swin.py", (64, 96), tmp_path)
