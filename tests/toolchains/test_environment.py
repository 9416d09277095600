"""Environments of toolchains: whole or not there, whatever happens while they are made."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segship.core.errors import BackendError, InputError
from segship.toolchains import environment, toolchains
from segship.toolchains.environment import Environment, Toolchain
from segship.toolchains.paddle import TOOLCHAIN
from support.commands import refused, segship

RECORD = "segship-environment.json"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(TOOLCHAIN.variable, str(tmp_path / "cache" / "paddle"))
    return tmp_path / "cache" / "paddle"


def finished(place: Path, **packages: str) -> Path:
    python = Environment(place, {}, {}).python
    python.parent.mkdir(parents=True)
    python.write_text("")
    (place / RECORD).write_text(json.dumps({"packages": {**TOOLCHAIN.packages, **packages}}))
    return place


def test_it_lies_in_the_users_cache_folder_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOOLCHAIN.variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert TOOLCHAIN.environment().folder == tmp_path / "segship" / "paddle-3.3.1"
    monkeypatch.setenv(TOOLCHAIN.variable, str(tmp_path / "elsewhere"))
    assert TOOLCHAIN.environment().folder == tmp_path / "elsewhere"


def test_only_a_finished_one_of_these_versions_is_ready(place: Path) -> None:
    assert not TOOLCHAIN.environment().ready
    finished(place)
    assert TOOLCHAIN.environment().ready
    (place / RECORD).write_text(json.dumps({"packages": {**TOOLCHAIN.packages, "paddlepaddle": "2.6.2"}}))
    assert not TOOLCHAIN.environment().ready
    for damaged in ("", "[]", "{}", '{"packages": 3}'):
        (place / RECORD).write_text(damaged)
        assert not TOOLCHAIN.environment().ready


def test_one_that_is_ready_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(place)
    monkeypatch.setattr(environment, "_run", lambda *_: pytest.fail("nothing is to be run"))
    assert TOOLCHAIN.set_up(print).folder == place


@pytest.mark.parametrize("stage", ["venv", "pip", "versions"])
@pytest.mark.parametrize("error", [BackendError("no room"), KeyboardInterrupt()], ids=["failed", "interrupted"])
def test_what_ends_early_leaves_nothing(
    place: Path, stage: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(arguments: list[str], *_: object) -> None:
        if stage in arguments:
            raise error

    monkeypatch.setattr(environment, "_run", run)
    with pytest.raises(type(error)):
        TOOLCHAIN.set_up(print)
    assert not TOOLCHAIN.environment().ready
    assert list(place.parent.iterdir()) == []


def test_one_that_was_killed_while_it_was_made_is_not_taken_for_finished(place: Path) -> None:
    """A killed process removes nothing; what it leaves has another name, and no record."""
    code = (
        "import os, sys\nfrom segship.toolchains import environment\n"
        "from segship.toolchains.paddle import TOOLCHAIN\n"
        "environment._run = lambda arguments, *_: 'pip' in arguments and os._exit(9)\n"
        "TOOLCHAIN.set_up(print)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == 9
    assert not place.exists()
    assert not TOOLCHAIN.environment().ready


def test_an_older_one_is_replaced_and_anything_else_is_not(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(arguments: list[str], *_: object) -> None:
        if "venv" in arguments:
            made = Environment(Path(arguments[-1]), {}, {}).python
            made.parent.mkdir()
            made.touch()
        if "versions" in arguments:
            Path(arguments[-3]).write_text(json.dumps({"result": TOOLCHAIN.packages}))

    monkeypatch.setattr(environment, "_run", run)
    finished(place, paddle2onnx="1.0")
    assert TOOLCHAIN.set_up(print).ready
    (place / RECORD).unlink()
    with pytest.raises(InputError, match="holds something else"):
        TOOLCHAIN.set_up(print)


def test_a_command_that_fails_tells_its_last_lines() -> None:
    told: list[str] = []
    with pytest.raises(BackendError, match=r"ended with status 3: one / two"):
        environment._run([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], told.append, {})
    assert told == ["one", "two"]


def test_processes_in_it_do_not_inherit_what_steers_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONSTARTUP", "/somewhere.py")
    monkeypatch.setenv("POLYGRAPHY_AUTOINSTALL_DEPS", "1")
    found = TOOLCHAIN.process_variables()
    assert not [name for name in found if name.startswith("PYTHON")]
    assert found["POLYGRAPHY_AUTOINSTALL_DEPS"] == "0"


def test_doctor_tells_whether_it_is_there(place: Path) -> None:
    report = json.loads(segship("doctor", "--json", torch=False).stdout)
    expected = {"folder": str(place), "ready": False, "packages": {}}
    assert report["environments"]["paddle"] == expected
    assert report["environments"].keys() == toolchains().keys()
    assert "segship doctor --setup paddle" in " ".join(segship("doctor", torch=False).stdout.split())


def test_doctor_sets_up_what_it_knows(place: Path) -> None:
    line = refused(segship("doctor", "--setup", "padle", torch=False))
    assert "no environment is called 'padle', known are paddle" in line
    finished(place)
    done = segship("doctor", "--setup", "paddle", "--json", torch=False)
    found = json.loads(done.stdout)
    assert (found["folder"], found["made"]) == (str(place), False)
    assert found["packages"]["paddle2onnx"] == "2.1.0"


def test_every_toolchain_is_called_as_its_file() -> None:
    for name, toolchain in toolchains().items():
        assert (Path(environment.__file__).parent / f"{name}.py").is_file()
        assert toolchain.packages
        assert toolchain.pythons[0] <= toolchain.pythons[1]


OLD = Toolchain(
    name="old",
    title="Old",
    purpose="old things are converted",
    size="1 MB",
    pythons=((3, 6), (3, 8)),
    packages={"a": "1"},
)


def test_a_python_that_does_not_fit_is_brought_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OLD.variable, str(tmp_path / "old"))
    commands: list[list[str]] = []

    def run(arguments: list[str], *_: object) -> None:
        commands.append(arguments)
        if "versions" in arguments:
            Path(arguments[-3]).write_text(json.dumps({"result": {"a": "1"}}))

    monkeypatch.setattr(environment, "_run", run)
    monkeypatch.setattr(environment.shutil, "which", lambda _: None)
    with pytest.raises(BackendError, match=r"takes Python 3\.6 to 3\.8, this is .*: install uv"):
        OLD.set_up(print)
    monkeypatch.setattr(environment.shutil, "which", lambda _: "/bin/uv")
    assert OLD.set_up(print).packages == {"a": "1"}
    make, install, _ = commands
    assert make[:4] == ["/bin/uv", "venv", "--python", "3.8"]
    assert install[:3] == ["/bin/uv", "pip", "install"]
    assert install[-1] == "a==1"


def test_one_wheel_comes_from_an_index_of_its_own_and_nothing_else_is_looked_for_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dataclasses.replace(
        TOOLCHAIN, index="https://wheels.invalid", indexed=("torch==2+cpu",), alone=("paddle2onnx",)
    )
    monkeypatch.setenv(found.variable, str(tmp_path / "new"))
    commands: list[list[str]] = []

    def run(arguments: list[str], *_: object) -> None:
        commands.append(arguments)
        if "versions" in arguments:
            Path(arguments[-3]).write_text(json.dumps({"result": TOOLCHAIN.packages}))

    monkeypatch.setattr(environment, "_run", run)
    found.set_up(print)
    _, wheel, rest, alone, _ = commands
    assert wheel[-4:] == ["--no-deps", "--extra-index-url", "https://wheels.invalid", "torch==2+cpu"]
    assert "torch==2+cpu" in rest
    assert not {"--no-deps", "--extra-index-url"} & set(rest)
    assert alone[-2:] == ["--no-deps", "paddle2onnx==2.1.0"]
