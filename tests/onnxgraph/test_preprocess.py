"""Preprocessing as operators, against `segship.vision`, which is compared with the frameworks themselves elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from segship.core.errors import UnsupportedError
from segship.core.geometry_steps import ImageStep, Interpolation
from segship.core.spec import (
    GeometryStep,
    Letterbox,
    ModelSpec,
    Normalization,
    Pad,
    Padding,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
    ResizeWithin,
)
from segship.onnxgraph.build import Builder, Value
from segship.onnxgraph.image.preprocess import add_preprocess
from segship.vision import preprocess
from support.steps import EXAMPLES, KINDS

RGB = Normalization(channel_order="rgb", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
BGR = RGB.model_copy(update={"channel_order": "bgr"})
GREY = Normalization(mean=(100.0,), std=(50.0,))


def described(*geometry: GeometryStep, normalization: Normalization = RGB, **more: Any) -> ModelSpec:
    return ModelSpec(
        source="mmseg",
        architecture="x",
        classes=("a", "b"),
        palette=((0, 0, 0), (1, 1, 1)),
        geometry=geometry,
        normalization=normalization,
        **more,
    )


SPECS = {
    "as-it-is": described(),
    "fixed": described(Resize(width=97, height=64)),
    "ratio": described(Resize(width=200, height=100, keep_ratio=True), normalization=BGR),
    "shortest": described(ResizeShortestEdge(size=90, max_size=150)),
    "multiple": described(ResizeToMultiple(multiple_of=32), normalization=BGR),
    "edges": described(ResizeEdges(short=80, long=120, multiple_of=16)),
    "enlarge": described(ResizeEdges(short=80, enlarge_only=True)),
    "near": described(ResizeNear(width=96, height=96, multiple_of=14)),
    "within": described(ResizeWithin(width=150, height=100)),
    "within-multiple": described(ResizeWithin(width=100, height=150, multiple_of=32)),
    "by-edge": described(ResizeByEdge(short=77, long=140)),
    "by-edge-multiple": described(ResizeByEdge(short=77, long=140, multiple_of=32)),
    "pad": described(Resize(width=200, height=100), Pad(multiple_of=32, value=(1, 2, 3)), normalization=BGR),
    "pad-to": described(Pad(height=300, width=210, value=(7,))),
    "padding": described(padding=Padding(multiple_of=32, value=0.5)),
    "padding-to": described(Resize(width=90, height=60, keep_ratio=True), padding=Padding(height=96, width=96)),
    "grey": described(Resize(width=97, height=64), normalization=GREY),
}


def _tried(specs: dict[str, ModelSpec]) -> set[type[ImageStep]]:
    return {type(step) for spec in specs.values() for step in spec.geometry}


SPECS |= {step.kind: described(step) for step in EXAMPLES if type(step) not in _tried(SPECS) | {Letterbox}}
PILLOW = {
    "bilinear": described(Resize(width=97, height=64, interpolation="pillow_bilinear")),
    "bicubic": described(Resize(width=97, height=64, interpolation="pillow_bicubic")),
    "torchvision": described(Resize(width=97, height=64, interpolation="torchvision_bilinear")),
    "torchvision-bicubic": described(Resize(width=97, height=64, interpolation="torchvision_bicubic")),
}


@cache
def model(spec: ModelSpec, *, branches: bool = False) -> onnx.ModelProto:
    builder = Builder("pre")
    tensor = add_preprocess(builder, Value(builder, "image", "uint8"), spec, branches=branches).tensor
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["h", "w", 3])
    output = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, [1, spec.channels, None, None])
    graph = helper.make_graph(builder.nodes, "pre", [image], [output], list(builder.constants.values()))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def images(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sizes = [(64, 97), (100, 200), (128, 194), (32, 64), *(map(int, random.integers(20, 280, 2)) for _ in range(count))]
    return [random.integers(0, 256, (rows, columns, 3), np.uint8) for rows, columns in sizes]


@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_tensor_is_the_same_to_the_bit(spec: ModelSpec, branches: bool) -> None:
    made = model(spec, branches=branches)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    for image in images(24):
        expected = preprocess.prepare(image, spec, channel_order="rgb").tensor
        found = session.run(None, {"image": image})[0]
        assert found.shape == expected.shape, image.shape
        np.testing.assert_array_equal(found, expected, str(image.shape))


@pytest.mark.parametrize("spec", PILLOW.values(), ids=PILLOW)
def test_pillows_filters_are_the_same_to_the_bit_where_rows_come_first(spec: ModelSpec) -> None:
    session = onnxruntime.InferenceSession(model(spec).SerializeToString(), providers=["CPUExecutionProvider"])
    for image in images(24):
        if image.shape[0] < image.shape[1]:  # Pillow 13 goes down the columns first where tall images shrink
            expected = preprocess.prepare(image, spec, channel_order="rgb").tensor
            np.testing.assert_array_equal(session.run(None, {"image": image})[0], expected, str(image.shape))


@pytest.mark.parametrize("interpolation", ["float_bilinear", "float_antialiased"])
def test_what_is_not_rounded_is_equal_but_for_float32_noise(interpolation: Interpolation) -> None:
    spec = described(Resize(width=97, height=64, interpolation=interpolation), Pad(height=70, width=99))
    session = onnxruntime.InferenceSession(model(spec).SerializeToString(), providers=["CPUExecutionProvider"])
    for image in images(8):
        expected = preprocess.prepare(image, spec, channel_order="rgb").tensor
        np.testing.assert_allclose(session.run(None, {"image": image})[0], expected, atol=2e-4)


@pytest.mark.parametrize("name", ["fixed", "ratio", "shortest", "edges", "near", "pad", "grey"])
def test_openvino_computes_the_same(name: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    spec = SPECS[name]
    onnx.save_model(model(spec), tmp_path / "pre.onnx")
    torch.set_flush_denormal(True)  # as an ONNX Runtime session in the same thread would
    compiled = openvino.Core().compile_model(tmp_path / "pre.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for image in images(8):
        expected = preprocess.prepare(image, spec, channel_order="rgb").tensor
        found = compiled([image])[0]
        assert found.shape == expected.shape
        level = 1 / min(spec.normalization.std)
        assert np.abs(found - expected).max() < 1.01 * level
        assert (np.abs(found - expected) > 1e-4).mean() < 1e-3


def test_images_of_many_bands_are_refused() -> None:
    spec = described(normalization=Normalization(mean=(0.0,) * 5, std=(1.0,) * 5), pixels="multispectral")
    with pytest.raises(UnsupportedError, match="takes bands as stored"):
        model(spec)


def test_every_step_is_tried_here_or_refused() -> None:
    assert _tried(SPECS) == KINDS - {Letterbox}
    with pytest.raises(UnsupportedError, match="no operators for Letterbox: leave --embed out"):
        model(described(Letterbox(width=64, height=64)))
