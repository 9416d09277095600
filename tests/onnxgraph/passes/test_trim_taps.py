from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from segship.onnxgraph.passes.trim_taps import trim_taps
from support.onnx_models import computed, kinds, parsed

IMAGE = "float[2, 3, 8, 16] image"


def convolution(settings: str, rows: int = 3, columns: int = 3, inputs: str = IMAGE) -> tuple[onnx.ModelProto, ...]:
    """The same model twice: a convolution with these attributes and a kernel of rows x columns."""
    weight = np.random.default_rng(1).normal(size=(4, 3, rows, columns)).astype(np.float32)
    text = f"g ({inputs}) => (float[n, c, h, w] logits) {{ logits = Conv<{settings}>(image, weight) }}"
    return tuple(parsed(text, 20, weight=weight) for _ in range(2))


def kernel(model: onnx.ModelProto) -> tuple[list[int], list[int], list[int]]:
    settings = {each.name: list(helper.get_attribute_value(each)) for each in model.graph.node[0].attribute}
    return settings["kernel_shape"], settings["pads"], settings["dilations"]


@pytest.mark.parametrize(
    ("settings", "sides", "expected"),
    [
        ("dilations=[12, 12], pads=[12, 12, 12, 12]", (3, 3), ([1, 3], [0, 12, 0, 12], [1, 12])),
        ("dilations=[36, 36], pads=[36, 36, 36, 36]", (3, 3), ([1, 1], [0, 0, 0, 0], [1, 1])),
        ("dilations=[4, 1], pads=[8, 0, 8, 0]", (5, 1), ([3, 1], [4, 0, 4, 0], [4, 1])),
        # In steps of three, the first row ends at -1, which steps of one would pass; the last one begins at 7.
        ("dilations=[7, 16], pads=[7, 16, 7, 16], strides=[3, 3]", (3, 3), ([2, 1], [0, 0, 7, 0], [7, 1])),
        ("dilations=[8, 1], pads=[16, 0, 0, 0]", (3, 1), ([1, 1], [0, 0, 0, 0], [1, 1])),
        # There is less padding than the distance to the next tap, which stays.
        ("dilations=[9, 1], pads=[17, 0, 1, 0]", (3, 1), ([2, 1], [8, 0, 1, 0], [9, 1])),
    ],
)
def test_taps_that_see_padding_alone_are_cut(settings: str, sides: tuple[int, int], expected: tuple) -> None:
    before, model = convolution(settings, *sides)
    assert trim_taps(model)
    assert kernel(model) == expected
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 16)).astype(np.float32)
    np.testing.assert_allclose(computed(model, image=x), computed(before, image=x), rtol=1e-5, atol=1e-5)
    assert not trim_taps(model), "it is done once"


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ("pads=[1, 1, 1, 1]", IMAGE),
        ("dilations=[7, 15], pads=[7, 15, 7, 15]", IMAGE),
        ('dilations=[12, 12], auto_pad="SAME_UPPER"', IMAGE),
        ("dilations=[12, 12], pads=[12, 12, 12, 12]", "float[2, 3, h, w] image"),
    ],
)
def test_a_kernel_that_sees_the_image_everywhere_or_whose_image_is_unknown_stays(settings: str, inputs: str) -> None:
    model = convolution(settings, inputs=inputs)[0]
    before = model.SerializeToString()
    assert not trim_taps(model)
    assert model.SerializeToString() == before
    assert kinds(model) == ["Conv"]
