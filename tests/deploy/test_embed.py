"""Engines that take images and return masks by themselves, against packages that leave both to Segship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from segship import Segmentor, export, export_module
from segship.core.artifacts import Graph, TensorInfo
from segship.core.errors import BackendError, InputError, SizeError, UnsupportedError, VerificationError
from segship.core.plan import Plan
from segship.core.spec import ModelSpec, Normalization, Pad, Padding, Resize, SizeRule
from segship.core.target import Target
from segship.deploy.requirements import require_format
from segship.onnxgraph.image import postprocess
from segship.onnxgraph.image.postprocess import embed
from segship.verification.compare import Reference, compare
from segship.vision import upsample
from segship.vision.label_maps import resize_labels
from segship.vision.preprocess import prepare
from support.commands import segship
from support.manifests import edit_manifest
from support.trained import write_trained

SIZES = [(96, 160), (77, 131), (250, 401), (401, 250), (33, 47)]


def picture(rows: int, columns: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(*trained, tmp_path_factory.mktemp("package") / "out").path


@pytest.fixture(scope="module")
def whole(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(*trained, tmp_path_factory.mktemp("whole") / "out", embed="pre,post").path


def test_the_lone_file_needs_three_lines(whole: Path, package: Path) -> None:
    import onnxruntime

    path, expected = whole / "model.onnx", Segmentor(package)
    for rows, columns in SIZES:
        image = picture(rows, columns)

        session = onnxruntime.InferenceSession(path)
        mask = session.run(None, {"image": image})[0]

        assert (mask.dtype, mask.shape) == (np.uint8, (rows, columns))
        assert (mask == expected(image)).mean() >= 0.9999


def test_the_file_holds_standard_operators_only(whole: Path) -> None:
    model = onnx.load(whole / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "mask"]


def test_the_manifest_holds_the_comparison_of_masks(whole: Path) -> None:
    manifest = Segmentor(whole).manifest
    assert manifest.embed == ("pre", "post")
    assert manifest.inputs[0].shape == ("image_height", "image_width", 3)
    assert [check.input[2:] for check in manifest.checks] == [(256, 512), (300, 401), (161, 225)]
    assert min(check.labels_equal for check in manifest.checks) >= 0.9999


def test_classes_and_colours_lie_beside_the_model(whole: Path) -> None:
    record, segmentor = json.loads((whole / "classes.json").read_text()), Segmentor(whole)
    assert tuple(record["classes"]) == segmentor.classes
    assert tuple(map(tuple, record["palette"])) == segmentor.spec.palette
    assert record["colors"][1] == "#{:02x}{:02x}{:02x}".format(*segmentor.spec.palette[1])
    assert list(segmentor.manifest.files) == ["model.onnx", "classes.json"]


def test_bytes_are_at_the_borders_only(whole: Path) -> None:
    graph = onnx.shape_inference.infer_shapes(onnx.load(whole / "model.onnx"), data_prop=True).graph
    small = {value.name for value in graph.value_info if value.type.tensor_type.elem_type == TensorProto.UINT8}
    assert not small  # TensorRT has none inside a graph
    assert graph.node[-1].op_type == "Cast"
    assert graph.node[-1].output[0] == "mask"


@pytest.mark.parametrize("corners", [False, True])
def test_every_label_is_the_packages_where_classes_meet_everywhere(corners: bool, tmp_path: Path) -> None:
    import onnxruntime

    spec = SPEC.model_copy(update={"align_corners": corners, "geometry": (Resize(width=90, height=60),)})
    graph = embed(pooling(tmp_path / "a"), tmp_path / "whole.onnx", spec, ("pre", "post"), branches=True)
    session = onnxruntime.InferenceSession(graph.path)
    for rows, columns in ((60, 90), (123, 217), (31, 40), (1, 1), (1, 200)):
        image = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), np.uint8)
        assert (session.run(["mask"], {"image": image})[0] == labelled(spec, image)).all(), (rows, columns)


def test_a_threshold_is_decided_as_in_a_package(tmp_path: Path) -> None:
    import onnxruntime

    update = {"output": "sigmoid", "threshold": 0.3, "classes": ("a", "b"), "palette": ((0, 0, 0), (1, 1, 1))}
    spec = SPEC.model_copy(update=update)
    pooled = pooling(tmp_path / "a")
    model = onnx.load(pooled.path)
    model.graph.node[0].output[0] = "all"
    start, end, axis = (helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in AXES)
    model.graph.initializer.extend([start, end, axis])
    model.graph.node.append(helper.make_node("Slice", ["all", "start", "end", "axis"], ["logits"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    onnx.save_model(model, pooled.path)
    graph = embed(pooled, tmp_path / "whole.onnx", spec, ("pre", "post"))
    session = onnxruntime.InferenceSession(graph.path)
    for size in SIZES:
        found = session.run(["mask"], {"image": picture(*size)})[0]
        assert 0 < found.mean() < 1
        assert (found == labelled(spec, picture(*size))).all(), size


def test_a_package_and_its_lone_file_are_opened_as_any_other(whole: Path, package: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "model.onnx", tmp_path / "street.onnx")
    expected = Segmentor(package, channel_order="bgr")
    for path in (whole, tmp_path / "street.onnx"):
        found = Segmentor(path, channel_order="bgr")
        for size in SIZES[:3]:
            assert (found(picture(*size)) == expected(picture(*size))).mean() >= 0.9999
        with pytest.raises(UnsupportedError, match="returns labels, not scores"):
            found.scores(picture(*SIZES[0]))
    cv2.imwrite(str(tmp_path / "a.png"), picture(77, 131))
    done = segship("benchmark", whole, "--images", tmp_path / "a.png", "--duration", 0, "--no-memory", torch=False)
    assert done.returncode == 0, done.stderr
    assert "77x131" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("target", ["openvino_dynamic", "onnxruntime-fp16_dynamic", "onnxruntime_static-64x96"])
def test_other_targets_do_it_too(target: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    if "openvino" in target:
        pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    torch.set_flush_denormal(True)  # as an ONNX Runtime session in the same thread would
    plain = Segmentor(export(*trained, tmp_path / "plain", target=target).path)
    found = Segmentor(export(*trained, tmp_path / "whole", target=target, embed=("post", "pre")).path)
    for size in SIZES:
        assert (found(picture(*size)) == plain(picture(*size))).mean() >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("part", ["pre", "post"])
def test_one_of_the_two_is_enough(part: str, trained: tuple[Path, Path], package: Path, tmp_path: Path) -> None:
    found = export(*trained, tmp_path / "out", embed=part)
    assert min(check.labels_equal for check in found.manifest.checks) >= 0.9999
    segmentor, expected = Segmentor(found.path), Segmentor(package)
    image = picture(96, 160)  # the network's own size, where labels need no resize either
    assert (segmentor(image) == expected(image)).mean() >= 0.9999
    if part == "pre":
        np.testing.assert_allclose(segmentor.scores(image), expected.scores(image), atol=1e-4)


SPEC = ModelSpec(
    source="mmseg",
    architecture="x",
    classes=("a", "b", "c"),
    palette=((0, 0, 0), (1, 1, 1), (2, 2, 2)),
    normalization=Normalization(mean=(120, 110, 100), std=(60, 61, 62)),
)


AXES = (("start", 0), ("end", 1), ("axis", 1))


def pooling(folder: Path, stride: int = 4) -> Graph:
    """A graph whose logits are the means of each stride x stride block of the image, one class for each channel."""
    folder.mkdir(exist_ok=True)
    node = helper.make_node(
        "AveragePool", ["image"], ["logits"], kernel_shape=[stride, stride], strides=[stride, stride], ceil_mode=1
    )
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    made = helper.make_graph([node], "pool", [image], [logits])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save_model(model, folder / "model.onnx")
    inputs = TensorInfo(name="image", dtype="float32", shape=("batch", 3, "height", "width"))
    outputs = TensorInfo(name="logits", dtype="float32", shape=("batch", 3, "h", "w"))
    return Graph(folder / "model.onnx", "onnx", (inputs,), (outputs,))


def labelled(spec: ModelSpec, image: np.ndarray) -> np.ndarray:
    """The labels that `segship.vision` makes of the graph's logits."""
    prepared = prepare(image, spec, channel_order="rgb")
    logits = torch.nn.functional.avg_pool2d(torch.from_numpy(prepared.tensor), 4, ceil_mode=True)[0].numpy()
    threshold = spec.threshold if spec.output == "sigmoid" else None
    logits = logits[:1] if threshold is not None else logits
    return upsample.labels(logits, prepared.steps, align_corners=spec.align_corners, threshold=threshold)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"align_corners": True},
        {"geometry": (Resize(width=90, height=60, keep_ratio=True),)},
        {"geometry": (Resize(width=90, height=60, keep_ratio=True),), "resize_logits": "directly"},
        {"padding": Padding(multiple_of=32)},
        {"padding": Padding(multiple_of=32), "resize_logits": "directly"},
        {"geometry": (Resize(width=90, height=60), Pad(multiple_of=32, crop=True)), "align_corners": True},
        {"geometry": (Pad(height=200, width=200, crop=True), Resize(width=96, height=96))},
    ],
    ids=str,
)
def test_logits_find_their_way_back_as_in_a_package(change: dict[str, Any], tmp_path: Path) -> None:
    import onnxruntime

    spec = SPEC.model_copy(update=change)
    graph = embed(pooling(tmp_path / "a"), tmp_path / "whole.onnx", spec, ("pre", "post"))
    session = onnxruntime.InferenceSession(graph.path)
    for size in (*SIZES, (64, 96)):
        image = picture(*size)
        assert (session.run(["mask"], {"image": image})[0] == labelled(spec, image)).mean() >= 0.999, size


def test_a_graph_that_takes_the_image_brings_no_mask_back_by_nearest_pixels(tmp_path: Path) -> None:
    import onnxruntime

    spec = SPEC.model_copy(update={"geometry": (Resize(width=90, height=60),), "resize_logits": "to_input"})
    with pytest.raises(UnsupportedError, match=r"resize_logits: to_input.* leave out .*--embed pre"):
        embed(pooling(tmp_path / "a"), tmp_path / "whole.onnx", spec, ("pre", "post"))
    plan = Plan(target=Target.parse("onnxruntime_dynamic"), spec=spec, sizes=SizeRule(), embed=("pre",))
    with pytest.raises(UnsupportedError, match="resize_logits: to_input"):  # before anything is built
        require_format(plan, None)
    image, graph = picture(*SIZES[0]), embed(pooling(tmp_path / "a"), tmp_path / "labels.onnx", spec, ("post",))
    prepared = prepare(image, spec, channel_order="rgb")
    found = onnxruntime.InferenceSession(graph.path).run(["mask"], {"image": prepared.tensor})[0]
    decided = resize_labels(found[0], prepared.steps, len(spec.classes))
    assert (decided == labelled(spec, image)).mean() >= 0.999


def test_many_classes_need_sixteen_bits(tmp_path: Path) -> None:
    names = tuple(map(str, range(300)))
    spec = SPEC.model_copy(update={"classes": names, "palette": tuple((0, 0, 0) for _ in names)})
    graph = embed(pooling(tmp_path / "a"), tmp_path / "whole.onnx", spec, ("pre", "post"))
    assert graph.outputs[0].dtype == "uint16"


def test_a_network_that_slides_is_refused_before_it_runs(tmp_path: Path) -> None:
    files = write_trained(tmp_path, test_cfg="mode='slide', crop_size=(64, 64), stride=(42, 42)")
    with pytest.raises(UnsupportedError, match=r"test_cfg\.mode=whole"):
        export(*files, tmp_path / "out", embed="pre,post")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_module_of_ones_own_becomes_such_a_file_too(tmp_path: Path) -> None:
    module = torch.nn.Conv2d(3, 3, 3, stride=4, padding=1)
    found = export_module(module, SPEC, tmp_path / "out", embed="pre,post")
    assert found.manifest.embed == ("pre", "post")
    assert Segmentor(found.path)(picture(77, 131)).shape == (77, 131)


def test_other_engines_and_words_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(
        BackendError, match="onnxruntime in fp32, fp16, int8; openvino in fp32, int8, not for openvino-"
    ):
        export(*trained, tmp_path / "out", target="openvino-bf16_dynamic", embed="pre,post")
    with pytest.raises(InputError, match="embed takes pre, post or pre,post, not 'all'"):
        export(*trained, tmp_path / "out", embed="all")
    with pytest.raises(InputError, match="embed takes pre, post or pre,post, not 'p'"):
        export(*trained, tmp_path / "out", embed=("p", "pre"))


def test_an_image_the_network_does_not_take_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    edit_manifest(folder, lambda values: values["sizes"].update(fixed=[1, 1]))
    with pytest.raises(SizeError, match="the image becomes 96x160 pixels, this network takes exactly 1x1"):
        Segmentor(folder)(picture(96, 160))


def test_pixels_that_the_network_itself_cannot_decide_count_as_equal() -> None:
    logits = np.zeros((3, 4, 5), np.float32)
    logits[0], logits[1], logits[2, 0, 0] = 10, 5, 10 + 1e-6
    logits[2, 1, 1] = 10 + 1e-2
    image = np.zeros((4, 5, 3), np.uint8)
    reference = Reference("a.png", image, logits[None], prepare(image, SPEC).steps)
    found = np.zeros((4, 5), np.uint8)
    check = compare(reference, found, SPEC)
    assert check.labels_equal == pytest.approx(19 / 20)  # all but the one that is decided by more than noise
    assert check.classes["a"] == 1.0
    assert check.input == (1, 3, 4, 5)
    with pytest.raises(VerificationError, match=r"returns \(1, 3, 3\), the network \(1, 4, 5\)"):
        compare(reference, found[:3, :3], SPEC)


def test_a_graph_that_disagrees_is_not_written(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: Graph, path: Path, spec: ModelSpec, *rest: Any, **options: Any) -> Graph:
        other = spec.model_copy(update={"normalization": Normalization(channel_order="bgr", mean=(0, 0, 0))})
        return embed(graph, path, other, *rest, **options)

    monkeypatch.setattr(postprocess, "embed", wrong)
    with pytest.raises(VerificationError, match=r"of the labels are equal \(gate 99\.99%\)"):
        export(*trained, tmp_path / "out", embed="pre,post")
    assert not (tmp_path / "out").exists()
