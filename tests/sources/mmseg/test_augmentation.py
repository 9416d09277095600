"""Augmentations of configs, of 1.x and 0.x, as views."""

from __future__ import annotations

from typing import Any

import pytest

from segship.core.augmentation import ResizeByFactor, View
from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Pad, Resize
from segship.sources.mmseg.augmentation import plain_pipeline, read_views

LOAD = {"type": "LoadImageFromFile"}
PACK = {"type": "PackSegInputs"}
FLIP = {"type": "RandomFlip"}
NORMALIZE = {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True}
ENDING = [{"type": "ImageToTensor", "keys": ["img"]}, {"type": "Collect", "keys": ["img"]}]


def new(*choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [LOAD, {"type": "TestTimeAug", "transforms": [*choices, [PACK]]}]


def old(*transforms: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    steps = transforms or ({"type": "Resize", "keep_ratio": True}, FLIP, NORMALIZE)
    return [LOAD, {"type": "MultiScaleFlipAug", **options, "transforms": [*steps, *ENDING]}]


def fit(width: int, height: int) -> tuple[Resize, ...]:
    return (Resize(width=width, height=height, keep_ratio=True),)


FLIPS = [{**FLIP, "prob": 0.0}, {**FLIP, "prob": 1.0, "direction": "horizontal"}]


def test_the_default_of_1_x_resizes_by_factors_of_the_images_own_size() -> None:
    views = read_views(
        new([{"type": "Resize", "scale_factor": r, "keep_ratio": True} for r in (0.5, 1.0)], FLIPS), new=True
    )
    half = ResizeByFactor(factor=0.5)
    assert views == (
        View(geometry=(), factor=half), View(geometry=(), factor=half, flip="horizontal"),
        View(geometry=()), View(geometry=(), flip="horizontal"),
    )  # fmt: skip


def test_a_scale_of_1_x_does_not_keep_the_ratio_unless_it_says_so() -> None:
    (view,) = read_views(new([{"type": "Resize", "scale": (64, 32)}]), new=True)
    assert view.geometry == (Resize(width=64, height=32, keep_ratio=False),)


def test_what_pads_after_the_flip_is_not_flipped() -> None:
    views = read_views(
        new([{"type": "Resize", "scale": (64, 32)}], [FLIPS[1]], [{"type": "Pad", "size_divisor": 48}]), new=True
    )
    assert views[0].flip_before == 1
    assert views[0].geometry is not None
    assert views[0].geometry[1] == Pad(multiple_of=48)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"img_scale": (480, 360), "img_ratios": [0.5, 1.0, 1.75]}, [(240, 180), (480, 360), (840, 630)]),
        ({"img_scale": (480, 360), "img_ratios": 0.55}, [(264, 198)]),
        ({"img_scale": [(64, 32), (128, 64)]}, [(64, 32), (128, 64)]),
        ({"img_scale": [(64, 32), (128, 64)], "img_ratios": [0.5]}, [(64, 32), (128, 64)]),
    ],
)
def test_scales_of_0_x(options: dict[str, Any], sizes: list[tuple[int, int]]) -> None:
    views = read_views(old(**options, flip=True))
    assert views == tuple(View(geometry=fit(*size), flip=flip) for size in sizes for flip in (None, "horizontal"))


def test_ratios_of_0_x_without_a_scale_are_of_the_image_and_rounded_down() -> None:
    views = read_views(old(img_scale=None, img_ratios=[0.5, 1.0], flip=False))
    assert views == (View(geometry=(), factor=ResizeByFactor(factor=0.5, rounding="down")), View(geometry=()))


def test_two_directions_of_0_x_see_the_unflipped_image_twice() -> None:
    views = read_views(old(img_scale=(64, 32), flip=True, flip_direction=["horizontal", "vertical"]))
    assert [view.flip for view in views] == [None, None, "horizontal", "vertical"]


def test_the_multi_scale_flip_of_mmcv_2_sees_it_once() -> None:
    augmented = {"type": "MultiScaleFlipAug", "scales": [(64, 32), (128, 64)], "allow_flip": True, "transforms": [PACK]}
    views = read_views([LOAD, augmented | {"flip_direction": ["horizontal", "vertical"]}], new=True)
    assert [(view.geometry, view.flip) for view in views] == [
        (fit(*size), flip) for size in ((64, 32), (128, 64)) for flip in (None, "horizontal", "vertical")
    ]


def test_of_several_views_a_package_takes_the_plainest_and_says_so() -> None:
    pipeline, notes = plain_pipeline(old(img_scale=(480, 360), img_ratios=[0.5, 1.25, 1.5], flip=True))
    assert tuple(pipeline.geometry) == fit(600, 450)
    assert "6 ways" in notes[0]
    assert "1.25" in notes[0]
    pipeline, notes = plain_pipeline(old(img_scale=(480, 360), flip=False))
    assert (tuple(pipeline.geometry), notes) == (fit(480, 360), [])


@pytest.mark.parametrize(
    ("transforms", "error", "reason"),
    [
        (new([{**FLIP, "prob": 0.5}]), UnsupportedError, "random"),
        (new([{**FLIP, "prob": 1.0, "direction": "diagonal"}]), UnsupportedError, "diagonal"),
        (new([{"type": "Resize", "scale_factor": 2, "ratio_range": (1, 2)}]), UnsupportedError, "ratio_range"),
        (new([{"type": "Resize", "scale_factor": "x"}]), ConfigError, "scale_factor"),
        (new([{"type": "Resize", "scale_factor": -1.0}]), ConfigError, "scale_factor"),
        ([LOAD, {"type": "TestTimeAug", "transforms": [PACK]}], ConfigError, "TestTimeAug"),
        (new([{"type": "ColorJitter"}]), UnsupportedError, "ColorJitter"),
        (old({"type": "Resize"}, NORMALIZE, img_scale=(8, 8), flip=True), ConfigError, "RandomFlip"),
        (old({"type": "Resize"}, {"type": "Pad", "size_divisor": 8}, FLIP, img_scale=(8, 8), flip=True),
         UnsupportedError, "Pad"),
        (new([{"type": "Resize", "scale": (8, 8)}] * 20, FLIPS * 20), UnsupportedError, "256"),
        ("x", ConfigError, "list"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_view_says_why(transforms: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        read_views(transforms)
