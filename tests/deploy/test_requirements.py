"""What an export needs is asked for before anything runs: calibration and searches take minutes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.backends import openvino, tensorrt
from segship.core.artifacts import Device
from segship.core.errors import BackendError, MissingExtraError
from segship.vision.draw import write_png
from support.trained import write_trained


def refused(target: str, folder: Path) -> tuple[pytest.ExceptionInfo[BackendError], list[str]]:
    """The error of an export to a target, and what was begun before it."""
    images, begun = folder / "images", list[str]()
    images.mkdir()
    write_png(images / "a.png", np.zeros((48, 64, 3), np.uint8))
    int8 = segship.Int8(calibration=images) if "int8" in target else None
    with pytest.raises(BackendError) as error:
        segship.export(
            segship.Source(*write_trained(folder / "trained")),
            folder / "package",
            target=target,
            int8=int8,
            progress=begun.append,
        )
    assert not (folder / "package").exists()
    return error, begun


def test_an_engine_that_a_device_builds_is_refused_at_once_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "probe", lambda: (Device("cuda", usable=False, note="no GPU is here"),))
    error, begun = refused("tensorrt-int8_static-48x64", tmp_path)
    assert error.match(r"^TensorRT engines are built by the GPU that runs them, and .* here: no GPU is here$")
    assert begun == []


@pytest.mark.parametrize("name", ["rknn", "qnn"])
def test_an_environment_that_is_missing_is_told_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SEGSHIP_{name.upper()}_ENV", str(tmp_path / "none"))
    error, begun = refused(f"{name}-int8_static-48x64", tmp_path)
    assert error.match(rf"there is none in .*none: run `segship doctor --setup {name}`")
    assert begun == []


def test_a_module_that_is_not_installed_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "INFO", replace(openvino.INFO, modules=("no_such_module",)))
    error, begun = refused("openvino-int8_static-48x64", tmp_path)
    assert error.errisinstance(MissingExtraError)
    assert error.match(r"^OpenVINO needs the module 'no_such_module', which is not installed: pip install .*openvino")
    assert begun == []


@pytest.mark.parametrize(
    ("program", "target", "reason"),
    [
        ("", "ascend_static-48x64", "atc is not on PATH: --kit FOLDER"),
        ("atc", "ascend_static-48x64", "soc"),
        ("mm_run", "magicmind-int8_static-48x64", "calibrates int8 with images: --kit FOLDER"),
    ],
)
def test_what_a_vendors_program_lacks_is_told_at_once(
    program: str, target: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "bin"
    there.mkdir()
    if program:
        (there / program).write_text("#!/bin/sh\nexit 1\n")
        (there / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(there))
    error, begun = refused(target, tmp_path)
    assert error.match(reason)
    assert begun == []
