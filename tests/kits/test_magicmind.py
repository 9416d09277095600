"""MagicMind: the programs and commands of document 001, a kit run by a stand-in, the words for its precisions."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.backends import magicmind
from segship.core.errors import BackendError, InputError
from support.standins import PYTHON, run_script, target


def test_targets_are_written_in_the_vendors_words() -> None:
    for word, precision in (("force_float32", "fp32"), ("force_float16", "fp16"), ("qint8_mixed_float16", "int8")):
        found = segship.Target.parse(f"magicmind-{word}_static-512x1024")
        assert (found.backend, found.precision, found.shape.static) == ("magicmind", precision, (512, 1024))
    with pytest.raises(InputError, match="is not a target"):
        segship.Target.parse("magicmind-force_float64_static-512x1024")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("magicmind-force_float32_static-48x80", {"batch": "1,2"}),
        ("magicmind-qint8_mixed_float16_static-48x80", {"dynamic_shape": True, "batch": "1,4", "arch": "mtp_592"}),
    ],
)
def test_a_kit_is_made_run_and_adopted(
    text: str,
    options: dict[str, object],
    trained: tuple[Path, Path],
    pictures: segship.Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = target(text, **options)
    assert pictures.root is not None
    int8 = segship.Int8(calibration=pictures.root) if chosen.precision == "int8" else None
    kit = segship.export_kit(segship.Source(*trained), tmp_path / "kit", chosen, data=pictures, int8=int8).folder
    for script in ("convert.sh", "run.sh"):
        done = run_script(kit / script)
        assert done.returncode == 0, done.stdout + done.stderr
    convert = (kit / "convert.sh").read_text()
    assert f"--precision {text.split('-')[1].removesuffix('_static')}" in convert
    if int8 is not None:
        assert "--dim_range_min 1 3 48 80" in convert
        assert "--dim_range_max 16 3 48 80" in convert
        assert len(list((kit / "calibration").glob("*.bin"))) == 5
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    adopted = found.package.manifest.adopted
    assert adopted is not None
    assert {each.batch: each.images_per_second for each in adopted.results} == {
        batch: 12.5 * batch for batch in map(int, str(options["batch"]).split(","))
    }
    assert found.agreement > 0.9999
    monkeypatch.syspath_prepend(str(PYTHON))
    picture = np.random.default_rng(1).integers(0, 256, (48, 80, 3), np.uint8)
    with segship.Segmentor(found.package) as segmentor:
        assert segmentor(picture).shape == (48, 80)
    assert magicmind.probe()[0].usable
    for name in [name for name in sys.modules if name.startswith("magicmind")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("parse", "gen_model: the ONNX file cannot be parsed: UNIMPLEMENTED: onnx op GridSample of node decode_head"),
        ("build", "gen_model: the model cannot be built"),
    ],
)
def test_what_the_interface_refuses_is_told_in_one_line(
    does: str, reason: str, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    chosen = target("magicmind_static-48x80")
    kit = segship.export_kit(segship.Source(*trained), tmp_path / "kit", chosen).folder
    done = run_script(kit / "convert.sh", MM_DOES=does)
    assert done.returncode
    assert magicmind.explain(done.stdout + done.stderr).startswith(reason)


def test_dynamic_sizes_have_bounds(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="its sizes have bounds"):
        segship.export_kit(tmp_path / "none.py", tmp_path / "kit", target("magicmind_dynamic"))
    with pytest.raises(InputError, match="--calibration FOLDER"):
        segship.export_kit(tmp_path / "none.py", tmp_path / "kit", target("magicmind-int8_static-48x80"))
