from __future__ import annotations

import pytest

from segship.core.errors import InputError
from segship.core.target import Shape, Target


@pytest.mark.parametrize(
    "text", ["onnxruntime_dynamic", "openvino-int8_static-512x1024", "tensorrt-fp16_dynamic-512x1024-2048x2048"]
)
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    assert str(Target.parse(text)) == text


def test_height_comes_before_width() -> None:
    shape = Shape.parse("dynamic-512x1024-1024x2048")
    assert (shape.minimum, shape.maximum, shape.static) == ((512, 1024), (1024, 2048), None)
    assert Shape.parse("static-512x1024").static == (512, 1024)


def test_dynamic_has_no_bounds() -> None:
    assert Shape.parse("dynamic") == Shape()


@pytest.mark.parametrize(
    "text", ["", "static", "static-512", "static-0x5", "dynamic-9x9-8x9", "512x1024", "static-1x1x1"]
)
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a shape"):
        Shape.parse(text)


@pytest.mark.parametrize("text", ["onnxruntime", "onnxruntime-fp64_dynamic", "_dynamic", "a b_dynamic"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a target"):
        Target.parse(text)
