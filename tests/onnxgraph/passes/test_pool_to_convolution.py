from __future__ import annotations

import numpy as np
import onnx
import pytest

from segship.onnxgraph.passes.pool_to_convolution import pool_to_convolution
from support.onnx_models import computed, kinds, parsed


def pooling(attributes: str, channels: int = 3) -> onnx.ModelProto:
    sides = f"float[batch, {channels}, height, width]"
    return parsed(f"g ({sides} image) => ({sides} logits) {{ logits = AveragePool<{attributes}>(image) }}", opset=19)


@pytest.mark.parametrize(
    ("attributes", "channels", "changed"),
    [
        ("kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1", 3, True),
        ("kernel_shape = [2, 4], strides = [2, 4]", 1, True),
        ("kernel_shape = [3, 3], pads = [1, 1, 1, 1]", 3, False),  # its border is divided by what lies inside
        ("kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1", 3, False),
        ("kernel_shape = [3, 3], dilations = [2, 2]", 3, False),
        ('kernel_shape = [3, 3], auto_pad = "SAME_UPPER", count_include_pad = 1', 3, False),
        ("kernel_shape = [3, 3], strides = [2, 2]", 16, False),
    ],
)
def test_pooling_of_an_image_is_a_convolution_with_the_same_result(
    attributes: str, channels: int, changed: bool
) -> None:
    model, original = pooling(attributes, channels), pooling(attributes, channels)
    assert pool_to_convolution(model) == changed
    assert kinds(model) == ["Conv" if changed else "AveragePool"]
    image = np.random.default_rng(0).normal(size=(2, channels, 11, 18)).astype(np.float32)
    np.testing.assert_allclose(computed(model, image=image), computed(original, image=image), rtol=1e-5, atol=1e-6)


def test_channels_that_nobody_knows_stay() -> None:
    sides = "float[batch, channels, height, width]"
    text = f"g ({sides} image) => ({sides} logits) {{ logits = AveragePool<kernel_shape = [2, 2]>(image) }}"
    assert not pool_to_convolution(parsed(text, opset=19))
