"""Outputs without digests: files of nobody, another batch's outputs and times, and what the tool itself tells."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.core.errors import InputError
from segship.kits import Adopted, Kit, score_kit


@pytest.fixture
def kit(returned: Path, tmp_path: Path) -> Path:
    """What the chip's machine has, as somebody brings it who left the digests behind."""
    copied = Path(shutil.copytree(returned, tmp_path / "kit"))
    (copied / "outputs" / "SHA256SUMS").unlink()
    return copied


def adopted(kit: Path, engine: str = "") -> Adopted:
    return segship.adopt(kit, kit / "engines" / engine, kit.parent / "package", outputs=kit / "outputs")


def refused(kit: Path, reason: str, engine: str = "") -> None:
    with pytest.raises(InputError, match=reason):
        adopted(kit, engine)
    assert not (kit.parent / "package").exists()


@pytest.mark.parametrize("name", ["more.bin", "00009_0.npy", "00009_0.txt", "sub/00001_0.bin", "Result_9/out", "a.npz"])
def test_an_output_of_no_input_is_refused(name: str, kit: Path) -> None:
    path = kit / "outputs" / "result_bs3" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"1")
    refused(kit, f"result_bs3 holds {name}, which is no input's output")
    with pytest.raises(InputError, match="which is no input's output"):
        score_kit(kit, kit / "outputs")


def test_other_files_are_noted(kit: Path) -> None:
    folder = kit / "outputs" / "result_bs1"
    for name in ("tool.log", "about.json", ".hidden"):
        (folder / name).write_text("1")
    notes = adopted(kit).package.manifest.notes
    assert "result_bs1 holds about.json and 1 more, which was not looked at" in notes


def copy_batch(kit: Path, first: str, second: str, *, keep: bool) -> None:
    """As cp -r does, and cp -rp, which keeps when files were written."""
    for path in (kit / "outputs" / first).iterdir():
        (shutil.copy2 if keep else shutil.copyfile)(path, kit / "outputs" / second / path.name)


@pytest.mark.parametrize("engine", ["", "model_bs1.om", "model_bs3.om"])
def test_one_batchs_outputs_copied_over_anothers_with_their_times_are_refused(engine: str, kit: Path) -> None:
    path = kit / "outputs" / "result_bs1" / "00000_0.bin"
    os.utime(path, ns=(0, 1_700_000_000_000_000_007))
    copy_batch(kit, "result_bs1", "result_bs3", keep=True)
    refused(kit, "are one file, copied", engine)


def test_one_file_under_two_names_is_refused(kit: Path) -> None:
    first, second = (kit / "outputs" / f"result_bs{batch}" / "00002_0.bin" for batch in (1, 3))
    second.unlink()
    os.link(first, second)
    refused(kit, "00002_0.bin are one file, copied")


def test_equal_outputs_are_noted(kit: Path) -> None:
    """Whole seconds, as some archives keep, say nothing: two short runs may end in the same one."""
    copy_batch(kit, "result_bs1", "result_bs3", keep=False)
    for path in (kit / "outputs").rglob("*_0.bin"):
        os.utime(path, ns=(0, 1_700_000_000_000_000_000))
    notes = adopted(kit).package.manifest.notes
    assert sum("for 1 and 3 images at once are the same, byte for byte" in note for note in notes) == 1


def test_outputs_that_differ_are_not_noted(kit: Path) -> None:
    path = kit / "outputs" / "result_bs3" / "00003_0.bin"
    np.nextafter(np.fromfile(path, np.float32), np.float32(np.inf)).tofile(path)
    assert not any("byte for byte" in note for note in adopted(kit).package.manifest.notes)


def test_another_batchs_times_are_refused(kit: Path) -> None:
    logs = [kit / "outputs" / f"time_bs{batch}.log" for batch in (1, 3)]
    shutil.copyfile(logs[0], logs[1])
    refused(kit, r"time_bs3\.log is of another run: it tells the time of 1 images at once, expected 3")


def summary_of(kit: Path) -> Path:
    return kit / "outputs" / "result_bs3_summary.json"


def test_another_batchs_summary_is_refused(kit: Path) -> None:
    shutil.copyfile(kit / "outputs" / "result_bs1_summary.json", summary_of(kit))
    refused(kit, r"result_bs3_summary\.json is of another run: it lists outputs/result_bs1/00000_0\.bin")


def test_a_summary_that_lists_other_outputs_is_refused(kit: Path) -> None:
    told = json.loads(summary_of(kit).read_text())
    told["filesinfo"]["0"]["outfiles"] = ["outputs/result_bs3/00001_0.bin"]
    summary_of(kit).write_text(json.dumps(told))
    refused(kit, r"says that inputs/00000\.bin gave outputs/result_bs3/00001_0\.bin")
    told["filesinfo"]["0"] = {"infiles": ["inputs/00042.bin"], "outfiles": ["outputs/result_bs3/00042_0.bin"]}
    summary_of(kit).write_text(json.dumps(told))
    refused(kit, "which is not its output")


@pytest.mark.parametrize("samples", [{}, [], {"0": {}}, {"0": {"infiles": [], "outfiles": ["a"]}}, 3])
def test_a_summary_of_another_version_is_taken(samples: object, kit: Path) -> None:
    summary_of(kit).write_text(json.dumps({"throughput": 12.5, "filesinfo": samples}))
    assert adopted(kit).agreement > 0.9999


def test_a_batch_that_is_not_adopted_may_be_incomplete(kit: Path) -> None:
    (kit / "outputs" / "result_bs3" / "00001_0.bin").unlink()
    assert adopted(kit, "model_bs1.om").agreement > 0.9999


def test_a_kit_that_ran_is_not_suspected(returned: Path, ascend_kit: Kit, tmp_path: Path) -> None:
    found = segship.adopt(returned, returned / "engines", tmp_path / "package", outputs=returned / "outputs")
    assert found.package.manifest.notes == ascend_kit.manifest.notes
