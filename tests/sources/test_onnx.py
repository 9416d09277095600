"""ONNX files of other makers: what is understood, and what is told about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.spec import Letterbox, SizeRule
from segship.deploy import export
from segship.reading.ultralytics import read_ultralytics
from segship.runtime import Segmentor
from segship.sources import find_source, load, sources

UNRECORDED = "the file is its own reference: ONNX Runtime runs it while the tests run"

CLASSES = ["road", "wall", "sky"]
WEIGHTS = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)


def write(
    path: Path,
    *,
    size: tuple[Any, ...] = ("n", 3, "h", "w"),
    labels: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A convolution of stride 2; with ``labels`` followed by a resize and an argmax."""
    nodes = [
        helper.make_node("Conv", ["pixels", "weight"], ["scores"], pads=[1, 1, 1, 1], strides=[2, 2]),
    ]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, (size[0], 3, None, None))
    constants = [numpy_helper.from_array(WEIGHTS, "weight")]
    if labels:
        constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
        nodes.append(helper.make_node("Resize", ["scores", "", "scales"], ["large"], mode="linear"))
        nodes.append(helper.make_node("ArgMax", ["large"], ["labels"], axis=1, keepdims=0))
        output = helper.make_tensor_value_info("labels", TensorProto.INT64, (size[0], None, None))
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, size)
    model = helper.make_model(
        helper.make_graph(nodes, "small", [image], [output], constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def test_description_beside_the_file_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "road.onnx")
    (tmp_path / "road.yaml").write_text(
        "classes: [road, wall, sky]\nnormalization: {mean: [0.5, 0.5, 0.5], std: [1, 1, 1], max_pixel_value: 255}\n"
        "sizes: {multiple_of: 2}\n"
    )
    assert find_source(path) is sources()["onnx"]
    loaded = load(path)
    assert loaded.spec.classes == tuple(CLASSES)
    assert loaded.spec.normalization.mean == (127.5, 127.5, 127.5)
    assert loaded.network.sizes == SizeRule(multiple_of=2)
    assert set(loaded.origin) == {"road.onnx", "road.yaml"}
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(WEIGHTS), stride=2, padding=1)
    torch.testing.assert_close(loaded.network.logits(x), expected, atol=1e-5, rtol=1e-5)


def test_options_describe_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", size=(1, 3, 32, 48))
    options = ["layout=camvid", "classes=[a,b,c]", "normalization.channel_order=bgr"]
    loaded = load(path, cfg_options=options, normalize="imagenet")
    assert (loaded.spec.classes, loaded.spec.normalization.channel_order) == (("a", "b", "c"), "bgr")
    assert loaded.network.sizes == SizeRule(fixed=(32, 48), batch=1)
    assert loaded.spec.normalization.mean == (103.53, 116.28, 123.675)
    assert "class-0" in load(path, normalize="none").notes[0]
    with pytest.raises(ConfigError, match="3 classes, but 2 are described"):
        load(path, cfg_options=["classes=[a,b]"], normalize="none")
    with pytest.raises(ConfigError, match=r"align_corners is 'maybe'.*there is no 'clases'\. Did you mean 'classes'"):
        load(path, cfg_options=["clases=[a,b]", "align_corners=maybe"])


def test_ultralytics_metadata_is_read(tmp_path: Path) -> None:
    noted = {
        "author": "Ultralytics",
        "task": "semantic",
        "names": "{0: 'road', 1: 'wall', 2: 'sky'}",
        "imgsz": "[32, 48]",
    }
    spec = load(write(tmp_path / "a.onnx", metadata=noted)).spec
    assert spec.classes == tuple(CLASSES)
    assert spec.geometry == (Letterbox(height=32, width=48, value=(114, 114, 114)),)
    assert (spec.normalization.mean, spec.normalization.std) == ((0, 0, 0), (255, 255, 255))
    with pytest.raises(UnsupportedError, match="the task 'detect'"):
        load(write(tmp_path / "b.onnx", metadata=noted | {"task": "detect"}))
    hostile = write(tmp_path / "c.onnx", metadata=noted | {"names": f"__import__('os').mkdir('{tmp_path}/ran')"})
    with pytest.raises(ConfigError, match=r"c\.onnx: names is .*expected a name for 0, 1"):
        load(hostile)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"names": {0: "a", "b": "c"}},
        {"names": "{0: 'a', (1, 2): 'b'}"},
        {"names": "{0: ['a']}"},
        {"names": "{1: 'a', 2: 'b'}"},
        {"names": 7},
        {"names": "{{}: 1}"},
        {"imgsz": "many"},
        {"imgsz": [32, None]},
        {"imgsz": [32, float("inf")]},
        {"imgsz": [0, 32]},
        {"imgsz": [100_000, 32]},
        {"imgsz": "[32, 48, 3]"},
        {"task": ["semantic"]},
        {"task": None},
    ],
    ids=repr,
)
def test_metadata_of_odd_types_is_told_in_one_line(odd: dict[str, Any]) -> None:
    noted = {"author": "Ultralytics", "task": "semantic", "names": "{0: 'a', 1: 'b'}", "imgsz": "[32, 48]"}
    with pytest.raises((ConfigError, UnsupportedError), match=r"^a\.onnx[ :].{10,250}$"):
        read_ultralytics(noted | odd, Path("a.onnx"))


def test_metadata_of_usual_types_is_read() -> None:
    noted = {"author": "Ultralytics", "task": "semantic", "names": {"1": "b", "0": "a"}, "imgsz": 640.0}
    said = read_ultralytics(noted, Path("a.onnx"))
    assert said is not None
    assert said["classes"] == ["a", "b"]
    assert (said["geometry"][0]["height"], said["geometry"][0]["width"]) == (640, 640)


def test_a_binary_network_of_ultralytics_finds_its_class_before_background(tmp_path: Path) -> None:
    noted = {"author": "Ultralytics", "task": "semantic", "names": "{0: 'road'}", "imgsz": "[32, 48]"}

    def first(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS[:1], "weight"))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", 1, None, None)))

    spec = load(change(write(tmp_path / "a.onnx", metadata=noted), first)).spec
    assert (spec.classes, spec.output, spec.threshold) == (("background", "road"), "sigmoid", 0.5)


def test_a_network_of_ultralytics_sees_the_image_in_the_middle_of_its_frame(tmp_path: Path) -> None:
    noted = {"author": "Ultralytics", "task": "semantic", "names": "{0: 'a', 1: 'b', 2: 'c'}", "imgsz": "[32, 48]"}
    path = write(tmp_path / "a.onnx", size=(1, 3, 32, 48), labels=True, metadata=noted)
    package = export(path, None, tmp_path / "package")
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    frame = np.full((32, 48, 3), 114, np.uint8)
    frame[:, 8:40] = image
    feed = frame.transpose(2, 0, 1)[None].astype(np.float32) / 255
    found = onnxruntime.InferenceSession(path).run(None, {"pixels": feed})[0]
    assert (Segmentor(package.path)(image) == found[0, :, 8:40]).all()


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("size", [("n", 3, "h", "w"), (1, 3, 32, 48)])
def test_package_gives_the_files_own_labels(tmp_path: Path, size: tuple[Any, ...], *, labels: bool) -> None:
    path = write(tmp_path / "a.onnx", size=size, labels=labels)
    said = {"classes": CLASSES, "sizes": {"multiple_of": 2}, "normalization": {"max_pixel_value": 255.0}}
    package = export(path, None, tmp_path / "package", spec=said)
    image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)
    feed = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
    found = onnxruntime.InferenceSession(path).run(None, {"pixels": feed})[0]
    if not labels:
        scores = torch.nn.functional.interpolate(torch.from_numpy(found), (32, 48), mode="bilinear")
        found = scores.argmax(1).numpy()
    assert (Segmentor(package.path)(image) == found[0]).mean() > 0.999


def test_a_package_of_our_own_describes_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    package = export(
        path, None, tmp_path / "package", spec={"classes": CLASSES, "align_corners": True, "normalization": "unit"}
    )
    file = next((tmp_path / "package").glob("*.onnx"))
    assert load(file).spec.model_dump(exclude={"source"}) == package.manifest.spec.model_dump(exclude={"source"})


def change(path: Path, alter: Any) -> Path:
    model = onnx.load(path)
    alter(model)
    onnx.save(model, path)
    return path


def _integers(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["scores"], ["twice"]))
    model.graph.output.append(helper.make_tensor_value_info("twice", TensorProto.FLOAT, ("n", 3, None, None)))


def _vector(model: onnx.ModelProto) -> None:
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", 1000)))


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("grid_sampler", ["scores"], ["x"], domain="mmdeploy"))


def _four(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (4, 3, 32, 48)))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (_integers, r"takes pixels: uint8 \(n, 3, h, w\); expected one float32 image .*a Cast to uint8 behind"),
        (_four, r"float32 \(4, 3, 32, 48\): it takes 4 images at once and no single one; .*a batch of 1"),
        (_two_outputs, r"scores: float32 .*; twice: float32 .*output_name"),
        (_vector, r"returns scores: float32 \(n, 1000\); expected one output"),
        (_custom, r"custom operators.*mmdeploy::grid_sampler"),
    ],
)
def test_what_does_not_fit_is_told_with_its_shapes(tmp_path: Path, alter: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        load(change(write(tmp_path / "a.onnx"), alter), normalize="none")


def test_one_of_several_outputs_may_be_chosen(tmp_path: Path) -> None:
    path = change(write(tmp_path / "a.onnx"), _two_outputs)
    assert load(path, cfg_options=["output_name=twice"], normalize="none").network.out_channels == 3


def test_labels_need_the_number_of_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"returns labels.*classes"):
        load(write(tmp_path / "a.onnx", labels=True), normalize="none")


def test_what_is_no_onnx_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"a.onnx is no ONNX file"):
        load(tmp_path / "a.onnx")


def test_a_file_that_normalises_by_itself_needs_no_answer(tmp_path: Path) -> None:
    def divided(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.float32(255), "byte"))
        model.graph.node.insert(0, helper.make_node("Div", ["pixels", "byte"], ["divided"]))
        model.graph.node[1].input[0] = "divided"

    path = change(write(tmp_path / "a.onnx"), divided)
    loaded = load(path)
    assert loaded.spec.normalization.std == (1, 1, 1)
    assert str(loaded.provenance.normalization) == "the first operators of a.onnx"
    assert load(path, normalize="unit").spec.normalization.std == (255, 255, 255)
