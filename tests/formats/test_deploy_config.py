from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.errors import ConfigError
from segship.core.target import Target
from segship.formats.mmdeploy.deploy_config import read_target

# Written as MMDeploy's own are: a base for the codebase, a base for the engine, and the sizes.
BASE = "onnx_config = dict(type='onnx', export_params=True, opset_version=11, input_shape={shape})\n"
CODEBASE = "codebase_config = dict(type='mmseg', task='Segmentation', with_argmax=True)\n"
AXES = "onnx_config = dict(dynamic_axes={'input': {0: 'batch', 2: 'height', 3: 'width'}}, input_shape=None)\n"
TENSORRT = """
backend_config = dict(
    type='tensorrt', common_config=dict({mode}max_workspace_size=1 << 30),
    model_inputs=[dict(input_shapes=dict(input=dict(
        min_shape=[1, 3, {low}], opt_shape=[1, 3, 1024, 2048], max_shape=[1, 3, {high}])))])
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "deploy.py"
    path.write_text(CODEBASE + text)
    return path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (BASE.format(shape=None), "onnxruntime_static"),
        (BASE.format(shape="[1024, 512]") + "backend_config = dict(type='onnxruntime')", "onnxruntime_static-512x1024"),
        (AXES + "backend_config = dict(type='onnxruntime', precision='fp16')", "onnxruntime-fp16_dynamic"),
        (AXES + "backend_config = dict(type='sdk', pipeline=[])", "onnxruntime_dynamic"),
        (
            AXES + TENSORRT.format(mode="fp16_mode=True, ", low="512, 1024", high="2048, 2048"),
            "tensorrt-fp16_dynamic-512x1024-2048x2048",
        ),
        (
            BASE.format(shape="[512, 1024]")
            + TENSORRT.format(mode="int8_mode=True, ", low="1024, 512", high="1024, 512"),
            "tensorrt-int8_static-1024x512",
        ),
        (
            BASE.format(shape="[320, 320]") + "backend_config = dict(type='rknn', quantization_config=dict("
            "do_quantization=True))",
            "rknn-int8_static-320x320",
        ),
        (
            BASE.format(shape="[320, 320]") + "backend_config = dict(type='rknn', quantization_config=dict("
            "do_quantization=False))",
            "rknn-fp16_static-320x320",
        ),
        (
            "ir_config = dict(type='torchscript', input_shape=None)\nbackend_config = dict(type='torchscript')",
            "torchscript_dynamic",
        ),
    ],
)
def test_a_deploy_config_says_engine_precision_and_shape(tmp_path: Path, text: str, target: str) -> None:
    found = read_target(written(tmp_path, text))
    assert found.model_copy(update={"options": {}}) == Target.parse(target)
    assert found.options == ({"workspace": 1024} if found.backend == "tensorrt" else {})  # MiB


def test_bases_are_followed(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(CODEBASE + BASE.format(shape="[64, 32]"))
    (tmp_path / "deploy.py").write_text("_base_ = ['./base.py']\nbackend_config = dict(type='openvino')\n")
    assert read_target(tmp_path / "deploy.py") == Target.parse("openvino_static-32x64")


@pytest.mark.parametrize(
    "text", ["", "backend_config = dict(type='onnxruntime')\ncodebase_config = dict(type='mmdet')"]
)
def test_what_is_no_deploy_config_for_segmentation_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deploy.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not a deploy config"):
        read_target(path)


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    path = tmp_path / "deploy.py"
    path.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'proof')!r}).touch()\n")
    with pytest.raises(ConfigError):
        read_target(path)
    assert not (tmp_path / "proof").exists()
