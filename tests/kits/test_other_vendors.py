"""Qualcomm, PPLNN and Horizon: kits run by stand-ins; Hailo and VACC: their commands; MMDeploy's names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import segship
from segship.backends import backend_names, find_backend
from segship.core.artifacts import TensorInfo
from segship.core.kits import KitJob, has_recipe
from segship.deploy import find_target
from segship.deploy.requirements import able_target
from support.standins import run_script, target


@pytest.mark.parametrize(
    ("text", "options", "speed"),
    [
        ("snpe-int8_static-48x80", {}, 43.6138),
        ("qairt-fp16_static-48x80", {}, None),
        ("pplnn_static-48x80", {"batch": "2"}, 250),
        ("horizon-int8_static-48x80", {}, 25.5),
    ],
)
def test_a_kit_is_made_run_and_adopted(
    text: str,
    options: dict[str, object],
    speed: float | None,
    trained: tuple[Path, Path],
    pictures: segship.Data,
    tmp_path: Path,
) -> None:
    chosen = target(text, **options)
    assert pictures.root is not None
    int8 = segship.Int8(calibration=pictures.root) if chosen.precision == "int8" else None
    kit = segship.export_kit(segship.Source(*trained), tmp_path / "kit", chosen, data=pictures, int8=int8).folder
    for script in ("convert.sh", "run.sh"):
        done = run_script(kit / script)
        assert done.returncode == 0, done.stdout + done.stderr
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert found.agreement > 0.9999
    assert found.package.manifest.standing == "verified on the engine, by what it returned elsewhere"
    (told,) = found.speeds.values()
    assert told == pytest.approx(speed) if speed else told > 0
    failed = run_script(kit / "run.sh", TOOL_DOES="fail")
    backend = find_backend(chosen.backend)
    assert has_recipe(backend)
    assert failed.returncode
    assert "decode_head.resize is not supported" in backend.explain(failed.stdout + failed.stderr)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "hailo-int8_static-48x80",
            [
                "hailo parser onnx model_bs1.onnx --net-name model_bs1 --hw-arch hailo8 --har-path",
                "hailo optimize engines/model_bs1.har --hw-arch hailo8 --calib-set-path calibration.npy",
                "hailo compiler engines/model_bs1_optimized.har --hw-arch hailo8 --output-dir engines",
            ],
        ),
        (
            "vacc-fp16_static-48x80",
            ["python3 build.py --onnx model_bs1.onnx --input image --shape 1 3 48 80"],
        ),
    ],
)
def test_commands_that_no_stand_in_runs(
    text: str, lines: list[str], trained: tuple[Path, Path], pictures: segship.Data, tmp_path: Path
) -> None:
    chosen = target(text)
    assert pictures.root is not None
    int8 = segship.Int8(calibration=pictures.root) if chosen.precision == "int8" else None
    kit = segship.export_kit(segship.Source(*trained), tmp_path / "kit", chosen, int8=int8).folder
    convert = (kit / "convert.sh").read_text()
    assert all(line in convert for line in lines)
    for program in kit.glob("*.py"):
        compile(program.read_text(), program.name, "exec")


def mmdeploy_names() -> list[str]:
    """Of every deploy config that MMDeploy 1.3.1 has for segmentation, as the test of targets lists them."""
    text = (Path(__file__).parents[1] / "core" / "test_target.py").read_text()
    names = re.findall(r'^    "([\w-]+)": "[\w-]+",$', text, re.MULTILINE)
    precisions = ("", "-fp16", "-int8")
    shapes = ("dynamic-512x1024-2048x2048", "static-1024x1024", "static-1024x2048", "static-512x1024", "static-512x512")
    return names + [f"tensorrt{precision}_{shape}" for precision in precisions for shape in shapes]


def test_mmdeploy_has_42_names() -> None:
    assert len(set(mmdeploy_names())) == 42


@pytest.mark.parametrize("name", mmdeploy_names())
def test_every_name_of_mmdeploys_leads_to_an_engine_or_a_kit(name: str) -> None:
    found = find_target(f"segmentation_{name}.py")
    assert found.backend in backend_names()
    chosen = able_target(found)
    backend = find_backend(chosen.backend)
    assert chosen.precision in backend.INFO.precisions
    if not has_recipe(backend):
        assert callable(backend.convert)
        return
    needed = chosen.model_copy(update={"options": {"soc": "Ascend310P3"}}) if chosen.backend == "ascend" else chosen
    sides = chosen.shape.static or ("height", "width")
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, *sides))
    logits = TensorInfo(name="logits", dtype="float32", shape=(1, 4, *sides))
    inputs = (("00000", chosen.shape.static or (512, 1024)),)
    recipe = backend.recipe(KitJob(needed, {1: "model_bs1.onnx"}, image, logits, calibration=1, inputs=inputs))
    assert any("model_bs1.onnx" in line for line in (*recipe.convert, *recipe.files.values()))
    assert recipe.run
    assert recipe.engines[1]
