from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from segship import export as segship_export
from segship import load_network
from segship.core.errors import InputError, UnsupportedError, VerificationError
from segship.sources import load
from segship.tools.graphs import export, export_onnx, export_torchscript
from segship.tools.graphs.full_inference import FullInference
from support import fill
from support.commands import refused, segship
from support.trained import write_trained

SLIDE = "mode='slide', crop_size=(64, 64), stride=(42, 42)"


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("sliding"), test_cfg=SLIDE)


def run(path: Path, tensor: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["input", "output"]
    return session.run(None, {"input": tensor})[0]


def test_a_static_file_gives_the_networks_labels(trained: tuple[Path, Path], tmp_path: Path) -> None:
    done = export_onnx(*trained, tmp_path / "net.onnx", verify=True)
    assert done.shape == (96, 160)  # of the test pipeline
    x = fill.image(96, 160)
    found = run(done.path, x)
    with torch.inference_mode():
        expected = load_network(*trained)(torch.from_numpy(x)).argmax(1, keepdim=True).numpy()
    assert (found.dtype, found.shape) == (np.int64, (1, 1, 96, 160))
    assert (found == expected).mean() > 0.999
    assert done.checks[0].labels_equal > 0.999
    assert "Conv" in done.text


@pytest.mark.slow
def test_a_dynamic_file_is_verified_at_another_size_and_batch(trained: tuple[Path, Path], tmp_path: Path) -> None:
    done = export_onnx(*trained, tmp_path / "net.onnx", shape=(64, 96), dynamic=True, verify=True, output="logits")
    assert [check.input for check in done.checks] == [(1, 3, 64, 96), (2, 3, 96, 144)]
    assert run(done.path, fill.image(80, 112, batch=3)).shape == (3, 4, 80, 112)


def reference_slide(network: torch.nn.Module, x: torch.Tensor, crop: int, stride: int) -> torch.Tensor:
    """MMSegmentation's rule, window by window."""
    height, width = x.shape[2:]
    total, count = torch.zeros(1, 4, height, width), torch.zeros(1, 1, height, width)
    for row in range(max(height - crop + stride - 1, 0) // stride + 1):
        for column in range(max(width - crop + stride - 1, 0) // stride + 1):
            bottom, right = min(row * stride + crop, height), min(column * stride + crop, width)
            top, left = max(bottom - crop, 0), max(right - crop, 0)
            total[:, :, top:bottom, left:right] += network(x[:, :, top:bottom, left:right])
            count[:, :, top:bottom, left:right] += 1
    return total / count


@pytest.mark.parametrize("size", [(64, 64), (100, 130), (120, 64), (40, 150)])
def test_windows_are_averaged_as_mmsegmentation_averages_them(
    sliding: tuple[Path, Path], size: tuple[int, int]
) -> None:
    loaded, x = load(*sliding), torch.from_numpy(fill.image(*size))
    with torch.inference_mode():
        found = FullInference(loaded.network, loaded.spec, "logits", None).logits(x)
        expected = reference_slide(loaded.network, x, 64, 42)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_windows_and_a_last_resize_are_within_the_file(sliding: tuple[Path, Path], tmp_path: Path) -> None:
    done = export_onnx(*sliding, tmp_path / "net.onnx", shape=(64, 100), rescale_shape=(50, 60), verify=True)
    assert done.checks[0].labels_equal > 0.999
    assert run(done.path, fill.image(64, 100)).shape == (1, 1, 50, 60)


def test_a_dynamic_file_with_windows_is_refused_with_the_ways_out(sliding: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"test_cfg\.mode=whole.*segship export"):
        export_onnx(*sliding, tmp_path / "net.onnx", dynamic=True)


def test_torchscript_gives_the_networks_logits(trained: tuple[Path, Path], tmp_path: Path) -> None:
    done = export_torchscript(*trained, tmp_path / "net.pt", shape=(64, 96), verify=True)
    x = torch.from_numpy(fill.image(64, 96))
    with torch.inference_mode(), pytest.warns((DeprecationWarning, FutureWarning), match="jit"):
        assert torch.allclose(torch.jit.load(str(done.path))(x), load_network(*trained)(x), atol=1e-5)
    assert "aten::_convolution" in done.text or "aten::conv2d" in done.text


def test_torchscript_slides_too(sliding: tuple[Path, Path], tmp_path: Path) -> None:
    done = export_torchscript(*sliding, tmp_path / "net.pt", shape=(64, 100), verify=True, output="labels")
    assert done.checks[0].labels_equal > 0.999


def test_a_sigmoid_network_compares_with_its_threshold(trained: tuple[Path, Path]) -> None:
    loaded = load(*trained)
    spec = loaded.spec.model_copy(
        update={"output": "sigmoid", "threshold": 0.7, "classes": ("a", "b"), "palette": ((0, 0, 0), (1, 1, 1))}
    )
    x = torch.from_numpy(fill.image(64, 96))
    with torch.inference_mode():
        found = FullInference(loaded.network, spec, "labels", None).logits(x)
        assert torch.equal(found, (loaded.network(x).sigmoid() > 0.7).long())


def test_a_file_that_disagrees_is_removed(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_onnx_runner", lambda _: lambda x: np.zeros((1, 1, *x.shape[2:]), np.int64) + 9)
    with pytest.raises(VerificationError, match="the file was removed"):
        export_onnx(*trained, tmp_path / "net.onnx", shape=(64, 96), verify=True)
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected \.onnx"):
        export_onnx(*trained, tmp_path / "net.pt")


@pytest.mark.slow
def test_the_commands_take_the_options_of_the_old_tools(trained: tuple[Path, Path], tmp_path: Path) -> None:
    common = (trained[0], "--checkpoint", trained[1], "--size", "64x96", "--verify", "--show")
    done = segship("tools", "export-onnx", *common, "--output-file", tmp_path / "a.onnx", "--dynamic-export")
    assert done.returncode == 0, done.stderr
    assert "dynamic, labels, verified" in done.stdout
    assert onnx.load(tmp_path / "a.onnx").graph.input[0].name == "input"
    done = segship("tools", "export-torchscript", *common, "--output-file", tmp_path / "a.pt")
    assert done.returncode == 0, done.stderr
    assert "64x96, logits, verified" in done.stdout
    line = refused(segship("tools", "export-onnx", trained[0], torch=False))
    assert 'pip install "segship[export]"' in line


@pytest.mark.slow
def test_networks_that_come_as_onnx_end_the_same_way(trained: tuple[Path, Path], tmp_path: Path) -> None:
    whole = export_onnx(*trained, tmp_path / "a.onnx", shape=(64, 96), verify=True)
    package = segship_export(*trained, tmp_path / "package", target="onnxruntime_static-64x96").path
    again = export_onnx(package / "model.onnx", None, tmp_path / "b.onnx", shape=(64, 96), verify=True)
    x = fill.image(64, 96)
    assert (run(again.path, x) == run(whole.path, x)).mean() > 0.999
