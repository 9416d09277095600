from __future__ import annotations

import pytest

from segship.core.errors import InputError, did_you_mean
from segship.core.target import Shape, Target

# Every deploy config that MMDeploy 1.3.1 has for segmentation, and what it means.
MMDEPLOY = {
    "ascend_static-1024x2048": "ascend_static-1024x2048",
    "ascend_static-512x1024": "ascend_static-512x1024",
    "coreml_static-512x1024": "coreml_static-512x1024",
    "dynamic": "onnxruntime_dynamic",
    "static": "onnxruntime_static",
    "ncnn_static-1024x2048": "ncnn_static-1024x2048",
    "ncnn_static-512x512": "ncnn_static-512x512",
    "onnxruntime-fp16_dynamic": "onnxruntime-fp16_dynamic",
    "onnxruntime_dynamic": "onnxruntime_dynamic",
    "onnxruntime_static-1024x2048": "onnxruntime_static-1024x2048",
    "onnxruntime_static-512x512": "onnxruntime_static-512x512",
    "openvino_dynamic-1024x2048": "openvino_dynamic-1024x2048",
    "openvino_static-1024x2048": "openvino_static-1024x2048",
    "openvino_static-512x512": "openvino_static-512x512",
    "pplnn_dynamic-1024x2048": "pplnn_dynamic-1024x2048",
    "pplnn_dynamic-512x1024": "pplnn_dynamic-512x1024",
    "pplnn_static-1024x2048": "pplnn_static-1024x2048",
    "pplnn_static-512x1024": "pplnn_static-512x1024",
    "rknn-fp16_static-320x320": "rknn-fp16_static-320x320",
    "rknn-int8_static-320x320": "rknn-int8_static-320x320",
    "sdk_dynamic": "onnxruntime_dynamic",
    "snpe_static-512x1024": "snpe_static-512x1024",
    **{
        f"tensorrt{precision}_{shape}": f"tensorrt{precision}_{shape}"
        for precision in ("", "-fp16", "-int8")
        for shape in (
            "dynamic-512x1024-2048x2048",
            "static-1024x1024",
            "static-1024x2048",
            "static-512x1024",
            "static-512x512",
        )
    },
    "torchscript": "torchscript_dynamic",
    "tvm-ansor_static-512x1024": "tvm_static-512x1024",
    "tvm-autotvm_static-512x1024": "tvm_static-512x1024",
    "vacc-fp16_static_512x512": "vacc-fp16_static-512x512",
    "vacc-int8_static_512x512": "vacc-int8_static-512x512",
}


@pytest.mark.parametrize(
    "text",
    [
        "onnxruntime_dynamic",
        "onnxruntime_static",
        "openvino_dynamic-1024x2048",
        "openvino-int8_static-512x1024",
        "tensorrt-fp16_dynamic-512x1024-2048x2048",
    ],
)
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    assert str(Target.parse(text)) == text


def test_mmdeploy_has_42_names() -> None:
    assert len(MMDEPLOY) == 42


@pytest.mark.parametrize("name", MMDEPLOY)
@pytest.mark.parametrize("form", ["segmentation_{}", "segmentation_{}.py", "configs/mmseg/segmentation_{}.py"])
def test_mmdeploys_names_mean_the_same(name: str, form: str) -> None:
    assert Target.parse(form.format(name)) == Target.parse(MMDEPLOY[name])


def test_height_comes_before_width() -> None:
    shape = Shape.parse("dynamic-512x1024-1024x2048")
    assert (shape.minimum, shape.maximum, shape.static) == ((512, 1024), (1024, 2048), None)
    assert Shape.parse("static-512x1024").static == (512, 1024)
    assert Shape.only(512, 1024) == Shape.parse("static-512x1024")


def test_dynamic_has_no_bounds() -> None:
    assert Shape.parse("dynamic") == Shape()


def test_a_dynamic_shape_may_name_the_size_it_is_tuned_for() -> None:
    shape = Shape.parse("dynamic-1024x2048")
    assert (shape.typical, shape.minimum, shape.static) == ((1024, 2048), None, None)


def test_static_without_a_size_is_the_networks_own() -> None:
    assert Shape.parse("static").own
    assert Shape.parse("static").static is None


@pytest.mark.parametrize(
    "text", ["", "static-512", "static-0x5", "dynamic-9x9-8x9", "512x1024", "static-1x1x1", "static-8x8-8x8"]
)
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a shape"):
        Shape.parse(text)


@pytest.mark.parametrize(
    "text", ["onnxruntime", "onnxruntime-fp64_dynamic", "_dynamic", "a b_dynamic", "segmentation_"]
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a target"):
        Target.parse(text)


def test_a_target_of_version_0_1_is_read_and_one_without_options_is_written_as_it_was() -> None:
    old = {"backend": "tensorrt", "precision": "fp16", "shape": Shape().model_dump()}
    assert Target.model_validate(old | {"workspace": None}) == Target.model_validate(old)
    assert Target.model_validate(old | {"workspace": 512}).options == {"workspace": 512}
    assert Target.model_validate(old).model_dump() == old
    options = {"workspace": 512, "layout": "nhwc", "cache": True}
    found = Target.model_validate(old | {"options": options})
    assert Target.model_validate_json(found.model_dump_json()) == found
    assert found.options == options


@pytest.mark.parametrize("name", ["openvino", "onnxruntime-int8"])
def test_a_target_without_a_shape_is_told_which_one_may_be_meant(name: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{name}_dynamic'"):
        Target.parse(name)


def test_the_beginning_of_a_name_is_near_it() -> None:
    assert did_you_mean("onnx", ["openvino", "onnxruntime"]) == " Did you mean 'onnxruntime'?"
    assert did_you_mean("o", ["openvino", "onnxruntime"]) == ""
