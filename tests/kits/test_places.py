"""A kit in a folder whose name a shell would take apart, of images that are the kit's own scenes."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import segship
from segship.core.errors import InputError
from segship.verification.inputs import find_scenes
from support.commands import segship as run
from support.standins import run_script

OPTIONS = ("--target", "ascend_static-48x80", "--option", "soc=Ascend310P3")


@pytest.fixture(scope="module")
def place(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a kit, run, and what the command line said when it wrote it."""
    folder = tmp_path_factory.mktemp("places") / "Büro 図 $HOME"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number, scene in enumerate(find_scenes()):
        cv2.imwrite(str(folder / "images" / f"ä {number}.png"), scene)
        cv2.imwrite(str(folder / "labels" / f"ä {number}.png"), np.full(scene.shape[:2], number, np.uint8))
    data = ("--images", folder / "images", "--labels", folder / "labels")
    done = run("export", *trained, *OPTIONS, *data, "--kit", folder / "a kit")
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout, encoding="utf-8")
    for script in ("convert.sh", "run.sh"):
        ran = run_script(folder / "a kit" / script)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_the_command_that_is_named_can_be_pasted(place: Path) -> None:
    words = shlex.split((place / "said").read_text(encoding="utf-8").splitlines()[-1])
    kit = str(place / "a kit")
    assert words == ["segship", "adopt", kit, "ENGINE", "--outputs", f"{kit}/outputs", "OUT"]


def test_an_image_that_is_also_a_scene_is_in_no_other_order(place: Path, tmp_path: Path) -> None:
    kit = place / "a kit"
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert found.agreement > 0.9999
    assert found.images == 2


def test_the_kit_in_place_of_its_outputs_is_told(place: Path, tmp_path: Path) -> None:
    kit = place / "a kit"
    with pytest.raises(InputError, match=r"holds no results, but a folder outputs: give .*a kit/outputs$"):
        segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit)


def test_a_line_that_is_no_digest_is_shown(place: Path, tmp_path: Path) -> None:
    kit = shutil.copytree(place / "a kit", tmp_path / "kit")
    with (kit / "outputs" / "SHA256SUMS").open("a") as file:
        file.write("\nhello\n")
    with pytest.raises(InputError, match=r"no digest \(''\): run run\.sh again"):
        segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
