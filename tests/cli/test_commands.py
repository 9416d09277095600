"""The command line from end to end, in a process of its own as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.commands import refused, segship
from support.trained import META

COMMANDS = ["export", "predict", "evaluate", "info", "doctor", "demo"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = segship(command, "--help", torch=False)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_predict_writes_labels_with_palette_and_overlay_without_torch(
    package: Path, street: Path, tmp_path: Path
) -> None:
    done = segship("predict", package, street, "--to", tmp_path, "--scores", torch=False)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "street.png") as mask:
        assert (mask.mode, mask.size) == ("P", (131, 77))
        assert mask.getpalette()[:12] == [value for colour in META["palette"] for value in colour]
        labels = np.asarray(mask)
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    with Image.open(tmp_path / "street_overlay.jpg") as overlay:
        assert overlay.size == (131, 77)
    scores = np.load(tmp_path / "street_scores.npz")["scores"]
    assert scores.shape == (4, 77, 131)
    np.testing.assert_allclose(scores.astype(np.float32).sum(0), 1, atol=4e-3)
    assert (scores.argmax(0) == labels).mean() > 0.98  # float16 keeps all but near ties


def test_predict_goes_past_what_it_cannot_use_and_goes_on(package: Path, street: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "good.png").write_bytes((street / "street.png").read_bytes())
    (tmp_path / "in" / "[bold]bad.png").write_text("no image")
    (tmp_path / "in" / "notes.txt").touch()
    command = ("predict", package, tmp_path / "in", "--to", tmp_path / "out", "--no-overlay", "--resume", "-q")
    for before in ("", ", 1 of them by an earlier run"):
        done = segship(*command, torch=False)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "left out, no images by their suffix: 1 .txt",
            f"1 image -> {tmp_path / 'out'}{before}",
        ]
        first, last = done.stderr.splitlines()
        assert first.startswith(f"error: {tmp_path / 'in'}/[bold]bad.png is not an image")
        assert last == "error: 1 of 2 images could not be used"
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["good.png", "index.jsonl"]


def test_evaluate_scores_its_own_masks_as_perfect(package: Path, street: Path, tmp_path: Path) -> None:
    assert segship("predict", package, street, "--to", tmp_path / "masks", torch=False).returncode == 0
    figures = tmp_path / "figures.json"
    done = segship(
        "evaluate", package, "--images", street, "--labels", tmp_path / "masks", "--json", figures, torch=False
    )
    assert done.returncode == 0, done.stderr
    assert "aAcc 100.00   mIoU 100.00   mAcc 100.00" in done.stdout
    found = json.loads(figures.read_text())
    assert (found["aAcc"], found["mIoU"], found["mAcc"], found["images"]) == (100, 100, 100, 1)


def test_info_tells_what_the_package_is(package: Path) -> None:
    done = segship("info", package, torch=False)
    assert done.returncode == 0, done.stderr
    assert "road" in done.stdout
    assert "onnxruntime_dynamic" in done.stdout
    manifest = json.loads(segship("info", package, "--json", torch=False).stdout)
    assert manifest["spec"]["classes"] == list(META["classes"])
    assert min(check["labels_equal"] for check in manifest["checks"]) >= 0.9999
    assert {check["input"][0] for check in manifest["checks"]} == {1, 2}


def test_doctor_names_what_is_missing_where_torch_is_not_installed() -> None:
    report = json.loads(segship("doctor", "--json").stdout)
    assert report["backends"]["onnxruntime"]["devices"][0]["name"] == "cpu"
    assert report["packages"]["numpy"] == np.__version__


def test_export_without_torch_prints_the_pip_line(trained: tuple[Path, Path], tmp_path: Path) -> None:
    line = refused(segship("export", *trained, tmp_path / "out", torch=False))
    assert 'pip install "segship[export]"' in line
    assert not (tmp_path / "out").exists()
