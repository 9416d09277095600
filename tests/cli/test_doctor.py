"""What ``segship doctor`` says of a machine."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from segship.cli import doctor
from support.commands import segship


def test_every_pip_line_is_whole_and_the_cache_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = segship("doctor", torch=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "cache" / "segship") in done.stdout.replace("\n", "")
    lines = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert lines
    assert not [line for line in lines if 'pip install "segship"' in line or "pip install segship " in line]


def test_two_distributions_of_opencv_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"opencv-python-headless": "4.12"}

    def version(name: str) -> str:
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert doctor._notes() == []
    there["opencv-python"] = "4.10"
    (note,) = doctor._notes()
    assert note.startswith("opencv-python-headless 4.12 and opencv-python 4.10 are installed over each other")
    assert note.endswith("then pip install opencv-python-headless")
