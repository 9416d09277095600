"""Descriptions: what they may say, and one line for what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from segship.core.errors import ConfigError
from segship.reading.description import read_description

UNRECORDED = "a description is Segship's own"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"normalization": {"mean": [1, 2, 3], "std": [0, 1, 1]}}, "std must not be zero"),
        ({"normalization": {"mean": [1, 2, 3], "std": [1, 1]}}, "mean has 3 numbers, std has 2"),
        ({"normalization": {"mean": [1, float("nan"), 3]}}, "normalization.mean.*finite"),
        ({"normalization": {"std": [float("inf")] * 3}}, "normalization.std.*finite"),
        ({"normalization": {"max_pixel_value": 0}}, "max_pixel_value is 0"),
        ({"normalization": "imagnet"}, "normalization.preset is 'imagnet'"),
        ({"normalization": {"preset": "unit", "mean": [1, 2, 3]}}, "the preset unit says mean and std itself"),
        ({"normalization": [1, 2, 3]}, "normalization is"),
        ({"palette": [[0, 0, 256]]}, "palette.* is 256: input should be less than or equal to 255"),
        ({"palette": [[0, 0, -1]]}, "palette.* is -1"),
        ({"sizes": {"multiple_of": 100_000}}, "sizes"),
        ({"sizes": {"minimum": [100_000, 100_000]}}, "sizes"),
        ({"sizes": {"fixed": [10**12, 10**12]}}, "sizes"),
        ({"classes": 0}, "classes"),
        ({"returns": "chances"}, "returns is 'chances'"),
        ({"threshold": 1}, "threshold is 1"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^the description cannot be used: .*{message}") as caught:
        read_description(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_imagenets_numbers_are_in_the_order_of_the_channels(order: str) -> None:
    said = read_description({"normalization": {"channel_order": order}}, normalize="imagenet").normalized("it", 3)
    expected = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    assert (said.mean, said.std) == tuple(values if order == "rgb" else values[::-1] for values in expected)
    assert said.channel_order == order


def test_presets_are_for_as_many_channels_as_there_are() -> None:
    assert read_description({}, normalize="unit").normalized("it", 5).std == (255,) * 5
    assert read_description({"normalization": "none"}).normalized("it", 1).mean == (0,)
    with pytest.raises(ConfigError, match="it takes 4 channels, but mean and std are given for 3"):
        read_description({}, normalize="imagenet").normalized("it", 4)


def test_what_nothing_says_is_asked() -> None:
    for said, options in (({}, []), ({"classes": 3}, []), ({}, ["normalization.channel_order=bgr"])):
        asked = r"how the input of net is normalised: --normalize imagenet .*unit.*none.*--spec"
        with pytest.raises(ConfigError, match=asked):
            read_description(said, options).normalized("net", 3)
    assert read_description({}, ["normalization.std=[2,2,2]"]).normalized("net", 3).mean == (0, 0, 0)


def test_an_answer_may_repeat_what_is_said_but_not_contradict_it() -> None:
    said = {"normalization": {"max_pixel_value": 255, "channel_order": "bgr"}}
    assert read_description(said, normalize="unit").normalized("net", 3).channel_order == "bgr"
    with pytest.raises(ConfigError, match="normalize=imagenet contradicts the normalization"):
        read_description(said, normalize="imagenet")


def test_a_threshold_is_for_one_channel_of_scores() -> None:
    said = read_description({"classes": 3, "normalization": "unit", "threshold": 0.4})
    with pytest.raises(ConfigError, match="tells a threshold, which is for one channel of scores; this network has 3"):
        said.spec(source="onnx", architecture="net", outputs=3)
    binary = read_description({"normalization": "unit", "threshold": 0.4}).spec(source="x", architecture="x", outputs=1)
    assert binary.spec.threshold == 0.4


@pytest.mark.parametrize(
    ("said", "doubted"),
    [
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, True),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "max_pixel_value": 255}, False),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "max_pixel_value": 1}, False),
        ({"mean": [0] * 3, "std": [1] * 3}, False),
        ({"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}, False),
    ],
)
def test_mean_and_std_of_pixels_of_0_to_1_are_doubted(said: dict[str, Any], doubted: bool) -> None:
    notes = read_description({"normalization": said}).spec(source="onnx", architecture="net", outputs=3).notes
    assert any("normalization.max_pixel_value: 255" in note for note in notes) == doubted


def test_what_the_user_said_is_told_as_an_option_and_the_rest_by_its_file() -> None:
    values = {"classes": 2, "geometry": [], "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    said = read_description(values, place="inference.yml", own=("classes", "normalization"))
    _, _, provenance = said.spec(source="x", architecture="x", outputs=2, channels=3)
    assert str(provenance.classes) == "an option: classes"
    assert str(provenance.normalization) == "an option: normalization.mean"
    assert str(provenance.size_rule) == "inference.yml: geometry"
