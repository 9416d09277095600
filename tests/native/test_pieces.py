"""Preparing and deciding in C, against `segship.vision`: any spec, any image, to the last bit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segship.core.errors import SegshipError
from segship.core.spec import (
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
    SizeRule,
    Slide,
)
from segship.vision import draw, tiling, upsample
from segship.vision.label_maps import resize_labels
from segship.vision.preprocess import Prepared, inverse_steps, prepare
from support.native import NativeError, manifest_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from support.native import Library

SIDES = st.integers(1, 60)
SEEDS = st.integers(0, 2**32 - 1)
ROUNDED = st.sampled_from(["bilinear", "pillow_bilinear", "pillow_bicubic"])
MARGINS = st.sampled_from([(0.0,), (114.0,), (1.0, 200.0, 7.0)])
MULTIPLES = st.integers(1, 32)
STEPS = st.one_of(
    st.builds(Resize, width=SIDES, height=SIDES, keep_ratio=st.booleans(), interpolation=ROUNDED),
    st.builds(ResizeShortestEdge, size=SIDES, max_size=SIDES),
    st.builds(ResizeToMultiple, multiple_of=MULTIPLES),
    st.builds(
        ResizeEdges,
        short=SIDES,
        long=st.none() | SIDES,
        multiple_of=MULTIPLES,
        enlarge_only=st.booleans(),
        interpolation=ROUNDED,
    ),
    st.builds(ResizeByEdge, short=SIDES, long=st.none() | SIDES, multiple_of=MULTIPLES, interpolation=ROUNDED),
    st.builds(ResizeNear, width=SIDES, height=SIDES, multiple_of=MULTIPLES, interpolation=ROUNDED),
    st.builds(ResizeWithin, width=SIDES, height=SIDES, multiple_of=MULTIPLES, interpolation=ROUNDED),
    st.builds(Letterbox, width=SIDES, height=SIDES, value=MARGINS),
    st.builds(Pad, height=SIDES, width=SIDES, value=MARGINS, crop=st.booleans()),
    st.builds(Pad, multiple_of=MULTIPLES, value=MARGINS, crop=st.booleans()),
)
PADDINGS = st.none() | st.builds(
    Padding, height=st.none() | SIDES, width=st.none() | SIDES, multiple_of=st.none() | MULTIPLES, value=st.just(-1.5)
)


@st.composite
def slides(draw: Any) -> Slide | None:
    if draw(st.booleans()):
        return None
    crop = draw(st.tuples(SIDES, SIDES))
    return Slide(crop=crop, stride=(draw(st.integers(1, crop[0])), draw(st.integers(1, crop[1]))))


def make_spec(classes: int = 3, channels: int = 3, **fields: Any) -> ModelSpec:
    normal = Normalization(
        channel_order=fields.pop("channel_order", "rgb"),
        mean=tuple(100.0 + 7.3 * band for band in range(channels)),
        std=tuple(50.0 + 3.1 * band for band in range(channels)),
    )
    return ModelSpec(
        source="test",
        architecture="test",
        classes=tuple(f"class {label}" for label in range(classes)),
        palette=tuple((label % 256, label // 2 % 256, 7) for label in range(classes)),
        normalization=normal,
        **fields,
    )


def windows_of(spec: ModelSpec, prepared: Prepared) -> tiling.Windows | None:
    height, width = prepared.tensor.shape[2:]
    return None if spec.slide is None else tiling.plan((height, width), spec.slide)


def expected_input(spec: ModelSpec, image: NDArray[Any], order: Any) -> NDArray[np.float32]:
    prepared = prepare(image, spec, channel_order=order)
    windows = windows_of(spec, prepared)
    return prepared.tensor if windows is None else np.concatenate(list(windows.batches(prepared.tensor)))


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=2),
    padding=PADDINGS,
    slide=slides(),
    size=st.tuples(SIDES, SIDES),
    channels=st.sampled_from([1, 3, 4]),
    network=st.sampled_from([1, 3]),
    orders=st.tuples(st.sampled_from(["rgb", "bgr"]), st.sampled_from(["rgb", "bgr"])),
    seed=SEEDS,
)
def test_photographs_become_the_same_input_or_the_same_error(
    library: Library,
    steps: Any,
    padding: Any,
    slide: Any,
    size: tuple[int, int],
    channels: int,
    network: int,
    orders: tuple[str, str],
    seed: int,
) -> None:
    spec = make_spec(channels=network, geometry=tuple(steps), padding=padding, slide=slide, channel_order=orders[0])
    image = np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8)
    try:
        expected = expected_input(spec, image, orders[1])
    except SegshipError as error:
        with pytest.raises(NativeError, match=f"^{re.escape(str(error))}$"):
            library.spec(manifest_text(spec)).prepare(image, orders[1])
        return
    np.testing.assert_array_equal(library.spec(manifest_text(spec)).prepare(image, orders[1]), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 2, 3, 8])
def test_bands_are_taken_as_they_are_stored(library: Library, dtype: str, bands: int) -> None:
    random = np.random.default_rng(bands)
    image = (random.random((23, 31, bands)) * 250).astype(dtype)
    for step in (None, Resize(width=40, height=17), Resize(width=9, height=60, interpolation="pillow_bilinear")):
        geometry = () if step is None else (step,)
        spec = make_spec(channels=bands, pixels="multispectral", geometry=geometry, padding=Padding(multiple_of=16))
        found, expected = library.spec(manifest_text(spec)).prepare(image), prepare(image, spec).tensor
        if step is None or step.interpolation != "bilinear":
            np.testing.assert_array_equal(found, expected)
        else:  # OpenCV rounds floats differently on different processors
            np.testing.assert_allclose(found, expected, atol=2e-5)


def test_unrounded_resizes_are_opencvs_but_for_its_last_digits(library: Library) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for kind in ("float_bilinear", "float_antialiased"):
        spec = make_spec(geometry=(Resize(width=77, height=33, interpolation=kind),))
        found = library.spec(manifest_text(spec)).prepare(image)
        np.testing.assert_allclose(found, prepare(image, spec, channel_order="rgb").tensor, atol=2e-5)


def test_rows_may_lie_apart_and_upside_down(library: Library) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (20, 60, 3), np.uint8)
    spec = make_spec(geometry=(Resize(width=30, height=40),))
    native = library.spec(manifest_text(spec))
    for view in (wide[:, :25], wide[::-1]):
        expected = prepare(np.ascontiguousarray(view), spec, channel_order="rgb").tensor
        np.testing.assert_array_equal(native.prepare(view), expected)


def draw_logits(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    logits = (4 * random.standard_normal(shape)).astype(np.float32)
    kind = random.integers(3)
    if kind == 0:
        return np.stack([[cv2.GaussianBlur(plane, (0, 0), 2) for plane in window] for window in logits])
    if kind == 1:
        logits[tuple(random.integers(0, side) for side in shape)] = random.choice([np.nan, np.inf, -np.inf])
    return logits


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=2),
    padding=PADDINGS,
    slide=slides(),
    size=st.tuples(SIDES, SIDES),
    cells=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    classes=st.sampled_from([2, 3, 19, 150, 256, 257, 300]),
    align_corners=st.booleans(),
    resize=st.sampled_from(["through_input", "directly"]),
    seed=SEEDS,
)
def test_logits_become_the_same_mask_and_scores(
    library: Library,
    steps: Any,
    padding: Any,
    slide: Any,
    size: tuple[int, int],
    cells: tuple[int, int],
    classes: int,
    align_corners: bool,
    resize: Any,
    seed: int,
) -> None:
    spec = make_spec(
        classes, geometry=tuple(steps), padding=padding, slide=slide, align_corners=align_corners, resize_logits=resize
    )
    require_same_results(library, spec, size, (classes, *cells), seed)


@settings(max_examples=50, deadline=None)
@given(
    slide=slides(),
    size=st.tuples(SIDES, SIDES),
    threshold=st.sampled_from([1e-6, 0.3, 0.5, 0.97, 0.9999999999]),
    seed=SEEDS,
)
def test_one_channel_is_decided_by_its_threshold(
    library: Library, slide: Any, size: tuple[int, int], threshold: float, seed: int
) -> None:
    spec = make_spec(2, slide=slide, output="sigmoid", threshold=threshold, padding=Padding(multiple_of=8))
    require_same_results(library, spec, size, (1, 7, 9), seed)


def require_same_results(
    library: Library, spec: ModelSpec, size: tuple[int, int], shape: tuple[int, int, int], seed: int
) -> None:
    """Require the mask and the scores that Python makes of random logits."""
    try:
        prepared = prepare(np.zeros((*size, 3), np.uint8), spec)
    except SegshipError:
        return
    windows = windows_of(spec, prepared)
    logits = draw_logits(np.random.default_rng(seed), (1 if windows is None else len(windows), *shape))
    threshold = spec.threshold if spec.output == "sigmoid" else None
    corners, sigmoid = spec.align_corners, spec.output == "sigmoid"
    if windows is None:
        mask = upsample.labels(logits[0], prepared.steps, align_corners=corners, threshold=threshold)
        scores = upsample.scores(logits[0], prepared.steps, align_corners=corners, sigmoid=sigmoid)
    else:
        mask = tiling.labels(logits, windows, prepared.steps, align_corners=corners, threshold=threshold)
        scores = tiling.scores(logits, windows, prepared.steps, align_corners=corners, sigmoid=sigmoid)
    native = library.spec(manifest_text(spec))
    np.testing.assert_array_equal(native.decide(size, logits), mask)
    # NumPy adds up many classes one after the other, and loses more than the library does.
    np.testing.assert_allclose(native.scores(size, logits), scores, atol=1e-6 if len(spec.classes) < 100 else 4e-6)


def test_of_equal_classes_the_first_wins(library: Library) -> None:
    logits = np.zeros((1, 300, 3, 4), np.float32)
    logits[0, [7, 9, 280]] = 1
    found = library.spec(manifest_text(make_spec(300))).decide((24, 32), logits)
    assert found.dtype == np.uint16
    assert (found == 7).all()


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("classes", [5, 300])
def test_labels_of_an_engine_are_resized(library: Library, dtype: str, classes: int) -> None:
    spec = make_spec(classes, geometry=(Letterbox(width=40, height=40),), padding=Padding(multiple_of=32))
    labels = np.random.default_rng(0).integers(0, min(classes, 256), (1, 1, 16, 16)).astype(dtype)
    rest = {
        "target": {"backend": "onnxruntime"},
        "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 3, "height", "width"]}],
        "outputs": [{"name": "labels", "dtype": dtype, "shape": [1, 1, 16, 16]}],
        "files": {"model.onnx": {"size": 1, "sha256": "0" * 64}},
    }
    native = library.spec(manifest_text(spec, **rest))
    expected = resize_labels(labels[0, 0], inverse_steps(spec, (33, 50)), classes)
    np.testing.assert_array_equal(native.decide((33, 50), labels), expected)
    with pytest.raises(NativeError, match="this engine returns labels, not scores") as caught:
        native.scores((33, 50), labels)
    assert caught.value.kind == "unsupported"
    labels[0, 0, 0, 0] = 0 if dtype == "uint8" and classes == 300 else min(classes, 255)
    if classes == 5:
        with pytest.raises(NativeError, match="the engine returns the labels 0 to 5, but 5 classes are known of it"):
            native.decide((33, 50), labels)


@pytest.mark.parametrize("opacity", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("classes", [19, 300])
def test_overlays_are_pythons(library: Library, opacity: float, classes: int) -> None:
    random = np.random.default_rng(0)
    spec = make_spec(classes)
    image = random.integers(0, 256, (50, 70, 3), np.uint8)
    mask = random.integers(0, classes + 3, (50, 70)).astype(np.uint8 if classes < 256 else np.uint16)
    native = library.spec(manifest_text(spec))
    np.testing.assert_array_equal(
        native.overlay(image, mask, opacity), draw.overlay(image, mask, spec.palette, opacity)
    )


def test_an_engine_that_prepares_images_is_given_them_as_they_are(library: Library) -> None:
    spec = make_spec(geometry=(Resize(width=64, height=64),))
    native = library.spec(manifest_text(spec, SizeRule(multiple_of=32), embed=["pre"]))
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(native.prepare(image, "bgr"), image[:, :, ::-1])
    with pytest.raises(NativeError, match="the image becomes 20x30 pixels, this network takes height and width mul"):
        library.spec(manifest_text(make_spec(), SizeRule(multiple_of=32), embed=["pre"])).plan(20, 30)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4, 2), np.uint8), r"an image is uint8 of shape .*; found uint8 of shape \(3, 4, 2\)"),
        (np.zeros((3, 4, 3), np.uint16), r"found uint16 of shape \(3, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"the image is empty: its (shape|size) is "),
    ],
)
def test_what_is_no_image_is_refused(library: Library, image: NDArray[Any], message: str) -> None:
    with pytest.raises(NativeError, match=message) as caught:
        library.spec(manifest_text(make_spec())).prepare(image)
    assert caught.value.kind == "input"
