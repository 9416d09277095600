"""Against what the real mmcv and mmsegmentation made (recorded by ``oracles/record_preprocess.py``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segship.core.errors import InputError
from segship.core.spec import GeometryStep, ModelSpec, Normalization, Pad, Padding, Resize
from segship.core.validation import reader_of
from segship.vision.preprocess import as_image, prepare, prepared_size
from segship.vision.upsample import Step

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "references" / "preprocess.json").read_text())
TENSORS = np.load(Path(__file__).parent / "references" / "preprocess.npz")
read_step = reader_of(GeometryStep)


def image(height: int, width: int) -> NDArray[np.uint8]:
    y, x, channel = np.ogrid[:height, :width, :3]
    return ((37 * y + 61 * x + 101 * channel + (y // 5) * (x // 7) * 43) % 256).astype(np.uint8)


def spec(**fields: Any) -> ModelSpec:
    return ModelSpec(source="test", architecture="test", classes=("a",), palette=((1, 2, 3),), **fields)


def recorded_spec(case: dict[str, Any]) -> ModelSpec:
    order = case.get("order", "rgb")
    return spec(
        geometry=tuple(read_step(step) for step in case.get("geometry", [])),
        normalization=Normalization(channel_order=order, mean=RECORDED["mean"], std=RECORDED["std"]),
        padding=Padding(**case["padding"]) if "padding" in case else None,
    )


@pytest.mark.parametrize("name", RECORDED["cases"])
@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_the_tensor_is_the_one_mmsegmentation_makes(name: str, order: Any) -> None:
    case = RECORDED["cases"][name]
    picture = image(*case["size"])
    given = picture if order == "bgr" else picture[:, :, ::-1]
    tensor = prepare(given, recorded_spec(case), channel_order=order).tensor
    expected = TENSORS[name]
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert tensor.shape == expected.shape
    assert prepared_size(recorded_spec(case), *case["size"]) == expected.shape[2:]
    if "geometry" not in case:
        np.testing.assert_array_equal(tensor, expected)
    # Another processor's OpenCV may round a resized byte differently: at most one level, and rarely.
    assert (tensor == expected).mean() > 0.999
    assert np.abs(tensor - expected).max() <= 1.001 / min(RECORDED["std"])


@pytest.mark.parametrize("name", RECORDED["rules"])
def test_sizes_are_those_of_mmcv(name: str) -> None:
    step = read_step(RECORDED["rules"][name])
    for height, width, *expected in RECORDED["sizes"][name]:
        assert step.plan(height, width).size == tuple(expected)


def test_normalised_values_are_float32_differences_and_quotients() -> None:
    normalization = Normalization(channel_order="bgr", mean=(123.675, 0.1, 255), std=(58.395, 0.3, 7))
    picture = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    tensor = prepare(picture, spec(normalization=normalization)).tensor
    for channel, (mean, std) in enumerate(zip(normalization.mean, normalization.std, strict=True)):
        expected = [(np.float32(value) - np.float32(mean)) / np.float32(std) for value in range(256)]
        np.testing.assert_array_equal(tensor[0, channel, :, 0], np.array(expected, np.float32))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("center", [False, True])
def test_double_precision_is_rounded_once(kind: str, center: bool) -> None:
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    rule = Normalization(channel_order="bgr", mean=mean, std=std, arithmetic="float64")
    fields = spec(
        normalization=rule,
        pixels="uint8" if kind == "uint8" else "multispectral",
        padding=Padding(multiple_of=16, center=center),
    )
    picture = np.repeat(np.arange(256).reshape(16, 16, 1), 3, axis=2).astype(kind)
    expected = ((picture.astype(np.float64) / 255 - np.divide(mean, 255)) / np.divide(std, 255)).astype(np.float32)
    np.testing.assert_array_equal(prepare(picture, fields).tensor[0], expected.transpose(2, 0, 1))
    single = fields.model_copy(update={"normalization": rule.model_copy(update={"arithmetic": "float32"})})
    assert 0 < np.abs(prepare(picture, single).tensor[0] - expected.transpose(2, 0, 1)).max() < 1e-6


def test_a_network_of_one_channel_sees_grey() -> None:
    grey = spec(normalization=Normalization(channel_order="bgr", mean=(0,), std=(1,)))
    red = np.zeros((2, 2, 3), np.uint8)
    red[:, :, 2] = 200
    tensor = prepare(red, grey).tensor
    assert tensor.shape == (1, 1, 2, 2)
    assert tensor.ravel().tolist() == [60] * 4  # 0.299 * 200, rounded
    np.testing.assert_array_equal(prepare(red[:, :, ::-1], grey, channel_order="rgb").tensor, tensor)


class TestWayBack:
    def test_without_any_geometry_it_is_one_resize(self) -> None:
        prepared = prepare(image(20, 30), spec())
        assert prepared.size == (20, 30)
        assert prepared.steps == (Step((20, 30), crop=(20, 30)), Step((20, 30)))

    def test_padding_is_cut_off_before_the_image_is_restored(self) -> None:
        fields = spec(geometry=(Resize(width=60, height=40),), padding=Padding(multiple_of=32))
        assert prepare(image(20, 30), fields).steps == (Step((64, 64), crop=(40, 60)), Step((20, 30)))

    def test_a_pad_of_the_image_stays_in_unless_it_is_to_be_cropped(self) -> None:
        resize = Resize(width=60, height=40)
        stays = spec(geometry=(resize, Pad(multiple_of=32)))
        assert prepare(image(20, 30), stays).steps == (Step((64, 64), crop=(64, 64)), Step((20, 30)))
        cropped = spec(geometry=(resize, Pad(multiple_of=32, crop=True)))
        assert prepare(image(20, 30), cropped).steps == (
            Step((64, 64), crop=(64, 64)),
            Step((64, 64), crop=(40, 60)),
            Step((20, 30)),
        )

    def test_a_cropped_pad_before_a_resize_is_cropped_at_its_own_size(self) -> None:
        fields = spec(geometry=(Pad(multiple_of=32, crop=True), Resize(width=128, height=128)))
        assert prepare(image(20, 30), fields).steps == (
            Step((128, 128), crop=(128, 128)),
            Step((32, 32), crop=(20, 30)),
            Step((20, 30)),
        )


class TestArrays:
    def test_grey_is_repeated(self) -> None:
        grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
        for array in (grey, grey[:, :, None]):
            found = as_image(array)
            assert found.shape == (2, 3, 3)
            assert (found == grey[:, :, None]).all()

    def test_alpha_is_dropped(self) -> None:
        rgba = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        assert (as_image(rgba) == rgba[:, :, :3]).all()

    @pytest.mark.parametrize(
        ("array", "found"),
        [
            (np.zeros((4, 4, 3), np.float32), r"found float32 of shape \(4, 4, 3\)"),
            (np.zeros((3, 4, 5), np.uint8), r"found uint8 of shape \(3, 4, 5\)"),
            (np.zeros((4, 4, 2), np.uint8), r"found uint8 of shape \(4, 4, 2\)"),
            (np.zeros((4, 4, 4), np.uint16), r"found uint16 of shape \(4, 4, 4\)"),
            (np.zeros((1, 4, 4, 3), np.uint8), r"found uint8 of shape \(1, 4, 4, 3\)"),
            (np.zeros((0, 4, 3), np.uint8), r"the image is empty"),
            ([[1, 2]], "not list"),
        ],
    )
    def test_anything_else_is_refused(self, array: Any, found: str) -> None:
        with pytest.raises(InputError, match=found):
            as_image(array)
        with pytest.raises(InputError, match=found):
            prepare(array, spec())

    def test_views_are_welcome_and_left_alone(self) -> None:
        picture = image(20, 30)
        view = picture[::-1, ::2]
        np.testing.assert_array_equal(prepare(view, spec()).tensor, prepare(view.copy(), spec()).tensor)
        np.testing.assert_array_equal(picture, image(20, 30))
