"""What is known of a package: the engine ran, the vendor's simulator did, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segship.core.artifacts import BackendInfo, Device
from segship.core.manifest import MANIFEST, Manifest
from segship.deploy import export, ship
from segship.runtime.package import find_package
from support.commands import segship
from support.trained import write_trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


def as_devices(monkeypatch: pytest.MonkeyPatch, *devices: Device, **info: Any) -> None:
    """The default engine, on devices that it is said to have."""
    from segship.backends import onnxruntime as engine

    stand_in = SimpleNamespace(
        INFO=BackendInfo(**{**vars(engine.INFO), **info}),
        convert=engine.convert,
        open=lambda given, **_: engine.open(given),
        probe=lambda: devices,
    )
    monkeypatch.setattr(ship, "find_backend", lambda _: stand_in)


def test_an_engine_that_ran_is_verified_on_the_engine(trained: tuple[Path, Path], tmp_path: Path) -> None:
    manifest = export(*trained, tmp_path / "package").manifest
    assert (manifest.state, manifest.simulator) == ("verified on the engine", None)
    told = segship("info", tmp_path / "package").stdout
    assert "state          verified on the engine" in told


def test_a_simulator_is_named(trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Device("npu", usable=False, note="no board")
    as_devices(monkeypatch, chip, Device("simulator", usable=True, note="", simulator="ACME 2.5"), default_device="npu")
    export(*trained, tmp_path / "package")
    manifest = find_package(tmp_path / "package").manifest
    assert manifest.checks
    assert (manifest.state, manifest.simulator) == ("verified on the vendor's simulator", "ACME 2.5")
    assert manifest.standing == "verified on the vendor's simulator (ACME 2.5)"


def test_what_nothing_here_runs_is_built_and_says_so(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_devices(monkeypatch, Device("npu", usable=False, note="no board"), unverified=True)
    manifest = export(*trained, tmp_path / "package").manifest
    assert (manifest.state, manifest.checks, manifest.failures) == ("built, not verified here", (), ())


def test_a_gate_that_failed_leaves_a_package_not_verified(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "judged", lambda checks, *_: (tuple(checks), ["wrong"]))
    manifest = export(*trained, tmp_path / "package", allow_inexact=True).manifest
    assert (manifest.failures, manifest.standing) == (("wrong",), "built, not verified here")


def test_packages_of_earlier_versions_tell_it_by_their_comparisons(trained: tuple[Path, Path], tmp_path: Path) -> None:
    made = export(*trained, tmp_path / "package").manifest
    old = made.model_copy(update={"state": None})
    assert old.standing == "verified on the engine"
    assert old.model_copy(update={"checks": ()}).standing == "built, not verified here"
    assert json.loads((tmp_path / "package" / MANIFEST).read_text())["state"] == "verified on the engine"
    assert isinstance(made, Manifest)
