"""Qualcomm, PPLNN, Horizon, Hailo and VACC: kits run by stand-ins; MMDeploy's names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.backends import backend_names, find_backend
from segship.core.artifacts import TensorInfo
from segship.core.kits import KitJob, has_recipe
from segship.deploy import find_target
from segship.deploy.requirements import able_target
from segship.kits.kit import Expected
from support.standins import PROGRAMS, run_script, target


@pytest.mark.parametrize(
    ("text", "options", "speed"),
    [
        ("snpe-int8_static-48x80", {}, 43.6138),
        ("qairt-fp16_static-48x80", {}, None),
        ("pplnn_static-48x80", {"batch": "2"}, 250),
        ("horizon-int8_static-48x80", {}, 25.5),
        ("horizon-int8_static-48x80", {"march": "nash-e"}, 25.5),
        ("hailo-int8_static-48x80", {}, 310.7),
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


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_vaccs_program_compiles_and_the_card_is_driven_by_hand(
    precision: str, trained: tuple[Path, Path], pictures: segship.Data, tmp_path: Path
) -> None:
    assert pictures.root is not None
    int8 = segship.Int8(calibration=pictures.root) if precision == "int8" else None
    made = segship.export_kit(
        segship.Source(*trained), tmp_path / "kit", target(f"vacc-{precision}_static-48x80"), int8=int8
    )
    kit, tools = made.folder, {"PYTHONPATH": str(PROGRAMS / "vacc"), "VDSP_PARAMS": "vdsp.json"}
    done = run_script(kit / "convert.sh", **tools)
    assert done.returncode == 0, done.stdout + done.stderr
    engine = kit / "engines" / f"model-{precision}"
    assert {path.name for path in engine.iterdir()} == {"model.so", "model.json", "model.params"}
    assert "VDSP_PARAMS" in run_script(kit / "run.sh", PYTHONPATH=tools["PYTHONPATH"]).stderr
    done = run_script(kit / "run.sh", **tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "write the output of inputs/NAME.bin as outputs/result_bs1/NAME.npy" in done.stdout
    for name, logits in Expected.read(made).logits.items():
        np.save(kit / "outputs" / "result_bs1" / f"{name}.npy", logits)
    again = run_script(kit / "run.sh", **tools)
    assert "outputs holds something else: take it away first" in again.stderr  # and is not deleted
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert found.speeds == {1: 77.5}


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
