"""A package held against its network after the export, whatever source the network is of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from segship.core.errors import InputError
from segship.deploy import export
from segship.deploy.verify import verify
from segship.sources import Source
from segship.vision.draw import write_png
from support.commands import refused, segship

CLASSES = {"classes": ["road", "wall", "sky"], "sizes": {"multiple_of": 2}, "normalization": "none"}


def network(path: Path, *, classes: int = 3, sign: float = 1.0) -> Path:
    """A convolution of stride 2."""
    weights = sign * np.random.default_rng(0).normal(size=(classes, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["pixels", "weight"], ["scores"], pads=[1, 1, 1, 1], strides=[2, 2])]
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ("n", 3, "h", "w"))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", classes, None, None))
    graph = helper.make_graph(nodes, "small", [image], [scores], [numpy_helper.from_array(weights, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return network(tmp_path / "net.onnx")


@pytest.fixture
def package(source: Path, tmp_path: Path) -> Path:
    return export(source, None, tmp_path / "package", spec=CLASSES).path


def test_a_package_agrees_with_its_network_on_the_bundled_scenes(source: Path, package: Path) -> None:
    stages: list[str] = []
    found = verify(Source(source, spec=CLASSES), package, progress=stages.append)
    assert found.failures == ()
    assert [(each.image, each.pixels_differ) for each in found.images] == [("scene-0", 0), ("scene-1", 0)]
    assert all(each.max_difference <= 1e-5 and each.has_logits for each in found.images)
    assert stages == ["reading the network", "comparing scene-0", "comparing scene-1"]


def test_both_masks_are_written_as_pictures(source: Path, package: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_png(tmp_path / folder / "x.png", np.random.default_rng(0).integers(0, 256, (31, 53, 3), np.uint8))
    images = [tmp_path / "a", tmp_path / "b"]
    found = verify(Source(source, spec=CLASSES), package, images=images, to=tmp_path / "both")
    assert [each.pixels for each in found.images] == [31 * 53] * 2
    assert [each.input for each in found.images] == [(1, 3, 32, 54)] * 2
    names = sorted(file.name for file in (tmp_path / "both").iterdir())
    assert names == ["x_2_network.png", "x_2_package.png", "x_network.png", "x_package.png"]
    with Image.open(tmp_path / "both" / "x_package.png") as mask:
        assert (mask.size, mask.mode) == ((53, 31), "RGB")


def test_another_network_fails_the_gate_with_its_figures(package: Path, tmp_path: Path) -> None:
    found = verify(Source(network(tmp_path / "other.onnx", sign=-1.0), spec=CLASSES), package)
    assert len(found.failures) == 2
    assert "labels are equal (gate 99.99%)" in found.failures[0]
    assert all(each.pixels_differ > each.pixels / 2 for each in found.images)
    assert not found.as_dict()["passed"]


def test_a_network_of_other_classes_is_told_before_anything_runs(package: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a network of 3 channels and 3 classes, this one has 3 and 4"):
        verify(Source(network(tmp_path / "other.onnx", classes=4), normalize="none"), package)


def test_status_tells_the_gate(source: Path, package: Path, tmp_path: Path) -> None:
    said = ("--cfg-options", "sizes.multiple_of=2", "--normalize", "none")
    done = segship("verify", source, package, *said, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    other = network(tmp_path / "other.onnx", sign=-1.0)
    done = segship("verify", other, package, *said)
    assert done.returncode == 1
    assert "FAILED: the engine does not agree" in done.stdout
    assert "is not a package" in refused(segship("verify", source, tmp_path / "none"))


@pytest.mark.parametrize("embed", ["post", "pre,post"])
def test_packages_that_do_the_work_on_images_themselves_are_judged_by_their_masks(
    source: Path, tmp_path: Path, embed: str
) -> None:
    package = export(source, None, tmp_path / "package", spec=CLASSES, embed=embed).path
    found = verify(Source(source, spec=CLASSES), package)
    assert found.failures == ()
    assert {figures["max_difference"] for figures in found.as_dict()["images"]} == {None}
    assert all(each.pixels_differ < each.pixels / 1000 for each in found.images)
    other = verify(Source(network(tmp_path / "other.onnx", sign=-1.0), spec=CLASSES), package)
    assert other.failures[0].startswith("fp32: ")


def test_the_package_runs_on_the_device_that_is_asked_for(source: Path, package: Path) -> None:
    done = segship("verify", source, package, "--device", "cann")
    assert "this build of ONNX Runtime has no cann support" in refused(done)
    assert verify(Source(source, spec=CLASSES), package, device="cpu").failures == ()
