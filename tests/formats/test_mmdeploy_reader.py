"""Folders that MMDeploy made: opened as they are, with the masks that its own runtime gives."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from segship import Segmentor, export
from segship.core.errors import InputError, PackageError, SegshipError, UnsupportedError
from segship.core.spec import Pad, Padding, Resize
from segship.datasets.class_names import ClassNames
from segship.deploy import export_mmdeploy
from segship.formats.mmdeploy.reader import read_mmdeploy_folder
from segship.sources import Source
from support.commands import refused, segship
from support.references import REFERENCES
from support.trained import META, write_trained

# What MMDeploy's runtime is asked to do with some images, through a Python that has it.
RUN = """
import sys, numpy
from mmdeploy_runtime import Segmentor
images, segmentor = numpy.load(sys.argv[2]), Segmentor(model_path=sys.argv[1], device_name="cpu")
numpy.savez(sys.argv[3], **{name: numpy.asarray(segmentor(images[name])) for name in images.files})
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
SIZES = [(96, 160), (64, 96), (77, 131), (250, 401), (191, 319)]


def pictures() -> dict[str, np.ndarray]:
    sized = {f"{rows}x{columns}": cv2.resize(PIXELS, (columns, rows)) for rows, columns in SIZES}
    return {name: np.asarray(image, np.uint8) for name, image in sized.items()}


def test_a_folder_that_mmdeploy_wrote_gives_the_masks_of_its_own_runtime() -> None:
    folder = REFERENCES / "mmdeploy"  # oracles/record_mmdeploy.py
    segmentor = Segmentor(folder)
    with np.load(folder / "masks.npz") as masks:
        assert len(np.unique(masks["191x319"])) > 3
        for name in masks.files:
            rows, columns = map(int, name.split("x"))
            image = np.asarray(cv2.resize(PIXELS, (columns, rows)), np.uint8)
            np.testing.assert_array_equal(segmentor(image, channel_order="bgr"), masks[name])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def folder(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mmdeploy") / "out"
    export_mmdeploy(Source(*trained), out)
    return out


def model(folder: Path, *, scores: bool, channels: int = 3, name: str = "end2end.onnx") -> None:
    """An engine that tells, at each pixel, which of three channels is the greatest."""
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", channels, "height", "width"])
    kind, classes = (TensorProto.FLOAT, channels) if scores else (TensorProto.INT64, 1)
    output = helper.make_tensor_value_info("output", kind, ["batch", classes, "height", "width"])
    last = (
        helper.make_node("Identity", ["input"], ["output"])
        if scores
        else helper.make_node("ArgMax", ["input"], ["output"], axis=1, keepdims=1)
    )
    graph = helper.make_graph([last], "torch_jit", [image], [output])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / name)


def foreign(folder: Path, *, scores: bool = False, **change: Any) -> Path:
    """A folder with the words of MMDeploy 1.3.1's own writers, which Segship has not seen before."""
    folder.mkdir()
    transforms: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "keep_ratio": False, "size": [64, 32]},
        {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "to_rgb": True},
        {"type": "ImageToTensor", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["img_shape", "pad_shape", "ori_shape"]},
    ]
    head = {"type": "FCNHead", "in_channels": 64, "num_classes": 3, "align_corners": False, "with_argmax": not scores}
    transform = {
        "type": "Task",
        "module": "Transform",
        "name": "Preprocess",
        "input": ["img"],
        "output": ["prep_output"],
    }
    net = {"name": "fcn", "type": "Task", "module": "Net", "is_batched": True, "input_map": {"img": "input"}}
    params = head | change.get("params", {})
    post = {"type": "Task", "module": "mmseg", "name": "postprocess", "component": "ResizeMask", "params": params}
    tasks: list[dict[str, Any]] = [transform | {"transforms": change.get("transforms", transforms)}, net, post]
    models = [
        {"name": "fcn", "net": "end2end.onnx", "weights": "", "backend": "onnxruntime", "precision": "FP32"}
        | change.get("model", {})
    ]
    deploy = {"version": "1.3.1", "task": change.get("task", "Segmentor"), "models": models, "customs": []}
    (folder / "deploy.json").write_text(json.dumps(deploy))
    (folder / "pipeline.json").write_text(json.dumps({"pipeline": {"tasks": tasks}}))
    (folder / "detail.json").write_text(json.dumps({"version": "1.3.1", "codebase": {"task": "Segmentation"}}))
    model(folder, scores=scores, channels=change.get("channels", 3))
    return folder


def normalize(**change: Any) -> dict[str, Any]:
    return {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "to_rgb": True} | change


def test_what_segship_writes_for_mmdeploy_it_opens_again(
    folder: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    ours = Segmentor(export(*trained, tmp_path / "package").path)
    theirs = Segmentor(folder)
    assert theirs.classes == ours.classes == META["classes"]
    assert theirs.spec.palette == ours.spec.palette
    image = pictures()["96x160"]  # the network's own size: nothing is resized
    assert np.array_equal(theirs(image), ours(image))
    image = pictures()["250x401"]
    assert theirs(image).shape == (250, 401)
    assert (theirs(image) == ours(image)).mean() > 0.9  # borders are decided before they are resized


def test_masks_are_those_of_mmdeploys_runtime(folder: Path, tmp_path: Path) -> None:
    python = os.environ.get("SEGSHIP_MMDEPLOY_PYTHON")
    if python is None:
        pytest.skip("SEGSHIP_MMDEPLOY_PYTHON names no Python with mmdeploy_runtime")
    np.savez(tmp_path / "images.npz", **pictures())
    arguments = [folder, tmp_path / "images.npz", tmp_path / "masks.npz"]
    subprocess.run([python, "-c", RUN, *map(str, arguments)], check=True, capture_output=True)
    segmentor, expected = Segmentor(folder, channel_order="bgr"), np.load(tmp_path / "masks.npz")
    for name, image in pictures().items():
        assert np.array_equal(segmentor(image), expected[name]), name


def test_labels_are_resized_by_nearest_neighbours(tmp_path: Path) -> None:
    segmentor = Segmentor(foreign(tmp_path / "a"), classes=["red", "green", "blue"])
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, :64, 0], image[:, 64:, 2] = 250, 250
    mask = segmentor(image)
    assert mask.dtype == np.uint8
    assert (mask[:, :60] == 0).all()
    assert (mask[:, 68:] == 2).all()
    with pytest.raises(UnsupportedError, match="returns labels, not scores"):
        segmentor.scores(image)


def test_scores_are_resized_before_they_are_decided(tmp_path: Path) -> None:
    segmentor = Segmentor(foreign(tmp_path / "a", scores=True))
    assert segmentor.classes == ("class-0", "class-1", "class-2")
    assert "class-0, class-1" in segmentor.manifest.notes[0]
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    small = cv2.resize(image, (64, 32)).astype(np.float32)
    small = (small - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    expected = cv2.resize(small, (8, 8)).argmax(2)
    assert (segmentor(image) == expected).mean() > 0.95
    np.testing.assert_allclose(segmentor.scores(image).sum(0), 1, atol=1e-5)


def test_a_data_sets_layout_names_the_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 3 classes, but 19 are named"):
        Segmentor(foreign(tmp_path / "a"), layout="cityscapes")
    with pytest.raises(InputError, match="has 3 classes, but 2 are named: a, b"):
        Segmentor(tmp_path / "a", classes=["a", "b"])


def test_each_value_is_told_with_its_place(tmp_path: Path, folder: Path) -> None:
    made = foreign(tmp_path / "a")
    provenance = read_mmdeploy_folder(made, ClassNames()).provenance
    assert provenance is not None
    readings = {name: str(reading) for name, reading in provenance.readings().items()}
    assert readings["channel_order"] == "pipeline.json: Normalize.to_rgb"
    assert readings["size_rule"] == "pipeline.json: Resize"
    assert readings["classes"] == "assumed: nothing in deploy.json and pipeline.json names them"
    named = read_mmdeploy_folder(made, ClassNames(("a", "b", "c"))).provenance
    own = read_mmdeploy_folder(folder, ClassNames()).provenance
    assert named is not None
    assert own is not None
    assert (named.classes.kind, own.classes.where) == ("read", "detail.json: segship.spec")


def test_openvinos_pair_is_opened(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    names = {"net": "end2end.xml", "weights": "end2end.bin", "backend": "openvino"}
    folder = foreign(tmp_path / "a", model=names)
    openvino.save_model(openvino.Core().read_model(folder / "end2end.onnx"), folder / "end2end.xml")
    (folder / "end2end.onnx").unlink()
    image = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    mask = Segmentor(folder)(image)
    tensor = (image - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    assert np.array_equal(mask, tensor.argmax(2))


def test_padding_is_read(tmp_path: Path) -> None:
    before = [{"type": "Pad", "size_divisor": 32, "pad_val": 0}, normalize()]
    spec = read_mmdeploy_folder(foreign(tmp_path / "a", transforms=before), ClassNames()).spec
    assert spec.geometry == (Pad(multiple_of=32, crop=True),)
    after = [{"type": "Resize", "size": 64, "keep_ratio": True}, normalize(), {"type": "Pad", "size": [64, 32]}]
    spec = read_mmdeploy_folder(foreign(tmp_path / "b", transforms=after), ClassNames()).spec
    assert spec.geometry == (Resize(width=64, height=64, keep_ratio=True),)
    assert spec.padding == Padding(width=64, height=32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "Detector"}, "for the task 'Detector', expected 'Segmentor'"),
        (
            {"model": {"backend": "tensorrt", "net": "end2end.engine"}},
            "engine of tensorrt.*export the checkpoint again",
        ),
        ({"transforms": [{"type": "CenterCrop"}]}, "transform 'CenterCrop' is not provided"),
        ({"transforms": [{"type": "LoadImageFromFile", "color_type": "grayscale"}]}, "loaded as 'grayscale'"),
        ({"transforms": [{"type": "Resize", "size": [8, -1]}]}, r"has the size \[8, -1\], expected \[width, height\]"),
        ({"transforms": [{"type": "Resize", "size": [8, 8], "interpolation": "nearest"}]}, "'nearest', expected bili"),
        ({"transforms": [normalize(), {"type": "Resize", "size": [8, 8]}]}, "resized after it is normalised"),
        ({"transforms": [{"type": "LoadImageFromFile", "color_type": ["color"]}]}, r"loaded as \['color'\]"),
        ({"transforms": [{"type": "Resize", "size": [10**9, 8]}]}, r"has the size \[1000000000, 8\]"),
        (
            {"transforms": [{"type": "Resize", "size": [8, 8], "keep_ratio": "false"}]},
            "'false', expected true or false",
        ),
        ({"transforms": [{"type": "Resize", "size": [8, 8], "keepratio": True}]}, "'keepratio'.*'keep_ratio'"),
        ({"transforms": [{"type": "Resize", "size": [8, 8], "scale_factor": 2}]}, "'scale_factor', which is not known"),
        ({"transforms": [normalize(mean="x")]}, "expected a number for each channel"),
        ({"transforms": [normalize(mean=[10**400, 0, 0])]}, "expected a number for each channel"),
        ({"transforms": [normalize(std=[float("nan"), 1, 1])]}, "expected a number for each channel"),
        ({"transforms": [normalize(std=[0, 1, 1])]}, "expected a number for each channel"),
        ({"transforms": [normalize(to_rgb="false")]}, "to_rgb 'false', expected true or false"),
        ({"transforms": [normalize(to_rgb=0)]}, "to_rgb 0, expected true or false"),
        ({"transforms": [normalize(mean=[1, 2, 3, 4], std=[1, 1, 1, 1])]}, "takes 3 channels, Normalize 4"),
        ({"transforms": [{"type": "Pad", "size": [8, 8], "pad_val": 10**400}, normalize()]}, "than one number"),
        ({"transforms": [{"type": "Pad", "size": [8, 8], "pad_val": float("inf")}, normalize()]}, "than one number"),
        ({"transforms": [{"type": "Pad", "size": [8, 8], "padding_mode": "reflect"}, normalize()]}, "mirrors it"),
        ({"params": {"num_classes": 10**9}}, "num_classes is 1000000000, expected a whole number of 1 to 65536"),
        ({"params": {"num_classes": "3"}}, "num_classes is '3'"),
        ({"params": {"num_classes": True}}, "num_classes is True"),
        ({"params": {"align_corners": "false"}}, "align_corners is 'false', expected true or false"),
        ({"model": {"net": ""}}, "net is '': string should have at least 1 character"),
        ({"channels": 4, "transforms": [normalize(mean=[1] * 4, std=[1] * 4)]}, "takes 4 bands"),
        ({"transforms": [normalize(to_float=False)]}, "left as bytes"),
        ({"transforms": [{"type": "RandomFlip", "prob": 1.0}]}, "flipped"),
        ({"transforms": []}, "there is no Normalize"),
        ({"model": {"net": "../end2end.onnx"}}, "names a file outside itself"),
        ({"model": {"net": "/etc/passwd"}}, "names a file outside itself"),
        ({"model": {"net": "other.onnx"}}, "other.onnx is missing"),
    ],
)
def test_what_cannot_be_opened_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SegshipError, match=message):
        Segmentor(foreign(tmp_path / "a", **change))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a")
    (folder / "end2end.onnx").rename(tmp_path / "secret.onnx")
    (folder / "end2end.onnx").symlink_to(tmp_path / "secret.onnx")
    with pytest.raises(PackageError, match="link to a file outside itself"):
        Segmentor(folder)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"task": 1}', " " * (5 * 2**20)])
def test_damaged_files_are_errors_that_name_them(text: str, tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a")
    (folder / "deploy.json").write_text(text)
    with pytest.raises(PackageError, match=r"deploy\.json"):
        Segmentor(folder)


def test_labels_beyond_the_known_classes_are_an_error(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a")
    text = (folder / "pipeline.json").read_text()
    (folder / "pipeline.json").write_text(text.replace('"num_classes": 3', '"num_classes": 2'))
    with pytest.raises(SegshipError, match="labels 0 to 2, but 2 classes are known"):
        Segmentor(folder)(np.eye(3, dtype=np.uint8)[None] * 255)


def test_the_commands_take_such_a_folder_without_torch(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), pictures()["77x131"])
    done = segship("predict", folder, tmp_path / "images", "--to", tmp_path / "masks", torch=False)
    assert done.returncode == 0, done.stderr
    done = segship("info", folder, torch=False)
    assert "onnxruntime_dynamic" in done.stdout
    assert "nearest neighbours, as MMDeploy does" in done.stdout
    labelled = ("--images", tmp_path / "images", "--labels", tmp_path / "masks")
    done = segship("evaluate", folder, *labelled, torch=False)
    assert "mIoU 100.00" in done.stdout, done.stderr
    done = segship("benchmark", folder, "--duration", 0, "--no-memory", torch=False)
    assert done.returncode == 0, done.stderr
    line = refused(segship("predict", folder, tmp_path / "images", "--to", tmp_path / "x", "--classes", "citys"))
    assert "'citys' is neither a data set, nor a file" in line
