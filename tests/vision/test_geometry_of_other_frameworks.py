"""Resize rules of other frameworks; expected sizes worked out by hand or by Pillow and torch."""

from __future__ import annotations

import tomllib
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import record_pipelines
from segship.core.spec import (
    GeometryStep,
    Letterbox,
    ModelSpec,
    Normalization,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeWithin,
    Slide,
)
from segship.sources.mmseg.pipeline import read_pipeline
from segship.vision.geometry import apply
from segship.vision.label_maps import resize_labels
from segship.vision.preprocess import prepare
from segship.vision.upsample import Step, labels
from support.references import REFERENCES

# Steps without a recorded reference of MMSegmentation's: they are of other frameworks. The list only shrinks.
UNRECORDED = {
    "Letterbox": "of Ultralytics: its rule by hand below",
    "ResizeByEdge": "of PaddleSeg: by hand below",
    "ResizeEdges": "of Segmenter and transformers: below by hand, and within the recordings of test_segmenter",
    "ResizeNear": "of transformers' DPT: by hand below, and its processor runs in test_huggingface",
    "ResizeWithin": "of transformers: by hand below, and its processors run in test_huggingface_margins",
}
PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)


def test_steps_without_a_recorded_reference_are_those_that_are_named() -> None:
    recorded = {name.partition("/")[0] for name in np.load(REFERENCES / "mmseg_pipelines.npz").files}
    cases = tomllib.loads(record_pipelines.CASES.read_text(encoding="utf-8"))
    pipelines = [read_pipeline(record_pipelines.config_values(cases[name])["test_pipeline"]) for name in recorded]
    covered = {type(step).__name__ for pipeline in pipelines for step in pipeline.geometry}
    assert {step.__name__ for step in get_args(get_args(GeometryStep)[0])} - covered == set(UNRECORDED)


@pytest.mark.parametrize(
    ("step", "size", "expected"),
    [
        (ResizeEdges(short=256), (300, 401), (256, 342)),  # 256 * 401 / 300 = 342.19
        (ResizeEdges(short=256), (401, 300), (342, 256)),
        (ResizeEdges(short=800, long=1333), (480, 640), (800, 1066)),  # 1066.67
        (ResizeEdges(short=800, long=1333), (300, 900), (444, 1333)),  # 1333 / 3 = 444.33
        (ResizeEdges(short=800, long=1333, multiple_of=32), (480, 640), (800, 1088)),
        (ResizeEdges(short=300), (300, 401), (300, 401)),
        (ResizeEdges(short=512, enlarge_only=True), (300, 401), (512, 684)),  # 684.37
        (ResizeEdges(short=512, enlarge_only=True), (600, 700), (600, 700)),
        (ResizeByEdge(short=256), (300, 401), (256, 342)),  # 342.19
        (ResizeByEdge(long=100), (125, 200), (62, 100)),  # 62.5, halves to even
        (ResizeByEdge(short=800, long=1333), (480, 640), (800, 1067)),  # 1066.67, rounded where ResizeEdges cuts off
        (ResizeByEdge(short=512, long=2048, multiple_of=32), (333, 1025), (512, 1600)),  # 1575.98
        (ResizeByEdge(short=800, long=1333), (300, 900), (444, 1333)),  # the smaller of the scales 2.67 and 1.48
        (ResizeNear(width=384, height=384, multiple_of=32), (300, 400), (288, 384)),  # the width is nearer to 384
        (ResizeNear(width=384, height=384, multiple_of=32), (400, 390), (384, 384)),  # 374.4 -> 11.7 * 32 -> 384
        (ResizeWithin(width=50, height=50), (100, 200), (25, 50)),
        (ResizeWithin(width=500, height=200), (100, 200), (200, 400)),  # smaller images grow, too
        (ResizeWithin(width=100, height=90), (300, 401), (74, 100)),  # 74.81, cut off
        (ResizeWithin(width=100, height=90, multiple_of=32), (300, 401), (96, 128)),
    ],
)
def test_sizes_follow_their_frameworks(
    step: ResizeByEdge | ResizeEdges | ResizeNear | ResizeWithin, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert step.plan(*size).size == expected


@pytest.mark.parametrize(
    ("size", "inner", "origin"),
    [
        ((29, 50), (37, 64), (13, 0)),  # 29 * 64 / 50 = 37.12; of a margin of 27 the smaller half is above
        ((33, 50), (42, 64), (11, 0)),  # 42.24
        ((200, 10), (64, 3), (0, 30)),  # 3.2; 61 = 30 + 31
        ((64, 64), (64, 64), (0, 0)),
        ((1, 500), (1, 64), (31, 0)),  # 0.128, but a side keeps one pixel
    ],
)
def test_a_letterbox_puts_the_image_in_the_middle(
    size: tuple[int, int], inner: tuple[int, int], origin: tuple[int, int]
) -> None:
    step = Letterbox(height=64, width=64, value=(114.0,) * 3)
    image = np.random.default_rng(0).integers(0, 100, (*size, 3), np.uint8)
    framed = apply(step, image)
    inside = np.zeros((64, 64), bool)
    inside[origin[0] : origin[0] + inner[0], origin[1] : origin[1] + inner[1]] = True
    assert framed.shape == (*step.plan(*size).size, 3) == (64, 64, 3)
    assert framed.dtype == np.uint8
    assert (framed[~inside] == 114).all()
    resized = image if inner == size else cv2.resize(image, inner[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(framed[inside].reshape(*inner, 3), resized)
    spec = ModelSpec(source="x", architecture="x", classes=("a",), palette=((0, 0, 0),), geometry=(step,))
    cut = Step((64, 64), crop=inner, origin=origin)
    assert prepare(image, spec).steps == (Step((64, 64), crop=(64, 64)), cut, Step(size))
    directly = spec.model_copy(update={"resize_logits": "directly"})
    assert prepare(image, directly).steps[1] == cut


def test_the_margin_of_a_letterbox_is_cut_off_scores_and_labels() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    steps = (Step((64, 64), crop=(64, 64)), Step((64, 64), crop=(37, 64), origin=(13, 0)), Step((29, 50)))
    large = F.interpolate(torch.from_numpy(logits)[None], (64, 64), mode="bilinear")[:, :, 13:50]
    expected = F.interpolate(large, (29, 50), mode="bilinear").argmax(1)[0].numpy()
    np.testing.assert_array_equal(labels(logits, steps, align_corners=False), expected)
    decided = np.arange(64 * 64).reshape(64, 64) % 7
    nearest = cv2.resize(decided[13:50].astype(np.uint8), (50, 29), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(resize_labels(decided, steps, 7), nearest)


@pytest.mark.parametrize("size", [(20, 30), (60, 90)])
def test_pillow_filters_are_pillows(size: tuple[int, int]) -> None:
    for name, kind in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        step = Resize.model_validate({"height": size[0], "width": size[1], "interpolation": f"pillow_{name}"})
        expected = np.asarray(Image.fromarray(PIXELS).resize(size[::-1], kind))
        np.testing.assert_array_equal(apply(step, PIXELS), expected)


@pytest.mark.parametrize("size", [(20, 30), (60, 90), (20, 90), (3, 200)])
def test_torchvisions_filters_are_torchs_of_bytes(size: tuple[int, int]) -> None:
    image = torch.from_numpy(PIXELS).permute(2, 0, 1)[None]
    for name in ("bilinear", "bicubic"):
        step = Resize.model_validate({"height": size[0], "width": size[1], "interpolation": f"torchvision_{name}"})
        expected = torch.nn.functional.interpolate(image, size, mode=name, antialias=True)[0].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(apply(step, PIXELS), expected)


def test_a_resize_that_does_not_round_is_torchs() -> None:
    step = ResizeEdges(short=64, enlarge_only=True, interpolation="float_bilinear")
    found = apply(step, PIXELS)
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(tensor, (64, 91), mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    normalization = Normalization(channel_order="rgb", mean=(1, 2, 3), std=(4, 5, 6))
    spec = ModelSpec(
        source="", architecture="", classes=("a",), palette=((0, 0, 0),), geometry=(step,), normalization=normalization
    )
    tensor = prepare(PIXELS, spec, channel_order="rgb").tensor[0].transpose(1, 2, 0)
    np.testing.assert_allclose(tensor, (expected - [1, 2, 3]) / [4, 5, 6], atol=1e-3)


def test_logits_may_go_directly_to_the_image() -> None:
    spec = ModelSpec(
        source="", architecture="", classes=("a",), palette=((0, 0, 0),), geometry=(Resize(width=32, height=32),),
        resize_logits="directly",
    )  # fmt: skip
    assert prepare(PIXELS, spec).steps == (Step((37, 53)),)
    sliding = spec.model_copy(update={"slide": Slide(crop=(16, 16), stride=(16, 16))})
    assert prepare(PIXELS, sliding).steps == (Step((32, 32), crop=(32, 32)), Step((37, 53)))
