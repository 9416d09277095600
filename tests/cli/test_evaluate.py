"""``segship evaluate`` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.commands import refused, segship


@pytest.fixture(scope="module")
def data(package: Path, street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three images; the label maps of two are the package's own masks, the third has none."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    image = cv2.imread(str(street / "street.png"))
    assert image is not None
    for name, picture in (("a", image), ("b", image[::-1]), ("c", image)):
        cv2.imwrite(str(root / "images" / f"{name}.png"), picture)
    assert segship("predict", package, root / "images", "--to", root / "labels").returncode == 0
    (root / "labels" / "c.png").unlink()
    return root


def test_a_folder_gives_figures_files_and_warnings_without_torch(package: Path, data: Path, tmp_path: Path) -> None:
    done = segship(
        *("evaluate", package, "--dataset", "folder", data, "--boundary", "--json", tmp_path / "f.json"),
        *("--confusion", tmp_path / "m.csv", "--confusion", tmp_path / "m.png", "--to", tmp_path / "out"),
        *("--format", "npz", "--show-dir", tmp_path / "show", "--opacity", 0.7),
        torch=False,
    )
    assert done.returncode == 0, done.stderr
    assert "aAcc 100.00   mIoU 100.00   mAcc 100.00" in done.stdout
    assert "warning: image without a label map, left out: 1, the first:" in done.stderr
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["images"], found["skipped"], found["mFscore"], found["mBoundaryIoU"]) == (2, 1, 100, 100)
    assert np.load(tmp_path / "out" / "a.npz")["labels"].shape == (77, 131)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == sorted(
        ["f.json", "m.csv", "m.png", "a.npz", "b.npz", "a.jpg", "b.jpg", "index.jsonl", "index.jsonl"]
    )


def test_options_of_the_frameworks_evaluator_are_understood(package: Path, data: Path) -> None:
    options = ("--eval-options", "iou_metrics=mFscore", "nan_to_num=-1", "--json", "-")
    done = segship("evaluate", package, "--dataset", "folder", data, *options, torch=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["aAcc"], "mIoU" in found) == (100, False)
    assert {entry["Fscore"] for entry in found["classes"]} <= {100, -100}
    done = segship("evaluate", package, "--dataset", "folder", data, "--eval-options", "metric=mDice", torch=False)
    assert "aAcc 100.00   mDice 100.00   mAcc 100.00" in done.stdout


def test_config_is_compared_with_its_package(
    trained: tuple[Path, Path], package: Path, data: Path, tmp_path: Path
) -> None:
    done = segship(
        *("evaluate", *trained, "--dataset", "folder", data, "--against", package),
        *("--differences", tmp_path / "differ", "--json", "-"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["against"]["agreement"] > 99.9
    assert [entry["name"] for entry in found["against"]["classes"]] == ["road", "wall", "tree", "sky"]


def test_processes_and_resume_are_options(package: Path, data: Path) -> None:
    done = segship("evaluate", package, "--dataset", "folder", data, "--workers", 2, "--resume", torch=False)
    assert done.returncode == 0, done.stderr
    assert "aAcc 100.00" in done.stdout


def test_predictions_for_a_test_server_need_no_label_maps(package: Path, data: Path, tmp_path: Path) -> None:
    done = segship("evaluate", package, "--images", data / "images", "--format-only", "--to", tmp_path, torch=False)
    assert done.returncode == 0, done.stderr
    assert "3 predictions" in done.stdout
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert stored.shape == (77, 131)
    assert set(np.unique(stored)) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "say what to evaluate on: --dataset NAME ROOT"),
        (("--dataset", "city", "."), "no data set is called 'city'"),
        (("--dataset", "cityscapes", "."), "the network has 4 classes, the data 19"),
        (("--format-only", "--images", "."), "give --to FOLDER"),
        (("--eval-options", "bta=2", "--images", "."), "there is no option 'bta'. Did you mean 'beta'?"),
        (("--differences", "x", "--images", ".", "--labels", "."), "give --against PACKAGE"),
    ],
)
def test_what_is_missing_is_said(package: Path, options: tuple[str, ...], words: str) -> None:
    assert words in refused(segship("evaluate", package, *options, torch=False))
