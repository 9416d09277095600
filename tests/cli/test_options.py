"""What holds for the options of every command: contradictions, old names, how much is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import segship
from segship.cli import main
from segship.core.errors import BackendError, SegshipWarning
from support.commands import WITHOUT_TORCH


@dataclass
class Done:
    status: int
    out: str
    err: str


class Run:
    """The command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["segship", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        status = ended.value.code
        return Done(status if isinstance(status, int) else 0, captured.out, captured.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


CONTRADICTIONS = [
    ("export c.py w.pth o --target openvino_dynamic --backend openvino", "leave --backend out"),
    ("export c.py w.pth o --target a_static --precision fp16 --shape dynamic", "leave --precision, --shape out"),
    (
        "export c.py w.pth o --calibration x",
        "--calibration are for int8, or with --labels for calibrated",
    ),
    ("export c.py w.pth o --precision int8 --labels x", "--labels go with --calibration FOLDER"),
    ("export c.py w.pth o --temperature class", "--temperature is fitted on labelled images"),
    ("export c.py w.pth o --layout mmdeploy --embed pre", "--embed: for packages of Segship"),
    ("export c.py w.pth o --layout mmdeploy --json -", "--json: for packages of Segship"),
    ("export c.py w.pth o --layout cityscapes --classes a,b", "--layout is the old name of --classes"),
    ("export c.py w.pth o --images a --image b", "--image is the old name of --images"),
    ("export c.py w.pth o --workspace 4 --engine-option workspace=5", "the engine's option workspace is given twice"),
    ("evaluate p --dataset camvid d --images i", "leave --images and --labels out"),
    ("evaluate p --dataset camvid d --label-suffix _m.png", "--image-suffix and --label-suffix pair files by name"),
    ("evaluate p --images i --labels l --split val", "--split is a part of a data set"),
    ("evaluate p --images i --keep-zero-label --format-only --to o", "are about label maps"),
    ("evaluate p --dataset camvid d --layout camvid d", "--layout is the old name of --dataset"),
    ("evaluate p --dataset camvid d --to a --out b", "--out is the old name of --to"),
    ("evaluate p --dataset camvid d --workers 2 --ray local", "workers and ray"),
    ("evaluate p --dataset camvid d --format npz", "--format is of predictions: give --to FOLDER"),
    ("evaluate p --images i --format-only --to o --format rle", "--format-only writes grey PNG"),
    ("evaluate p --images i --format-only --to o --boundary", "--format-only counts nothing"),
    ("evaluate p --images i --format-only --to o --confusion m.csv", "leave --format and --confusion out"),
    ("evaluate p --images i", "the data has no label maps"),
    ("predict p i --to o --classes a,b --layout camvid", "--layout is the old name of --classes"),
    ("verify c.onnx p --images a --image b", "--image is the old name of --images"),
    ("tools config c.py --size 64x64", "--size and --depth are about the tree: give --graph"),
    ("tools config diff a.py b.py --graph", "diff compares"),
    ("--quiet --verbose doctor", "--verbose and --quiet contradict each other"),
]


@pytest.mark.parametrize(("line", "words"), CONTRADICTIONS, ids=[line for line, _ in CONTRADICTIONS])
def test_options_that_contradict_each_other_are_refused(line: str, words: str, run: Run) -> None:
    done = run(*line.split())
    assert (done.status, words in done.err) == (2, True), done.err
    assert done.err.splitlines()[-1].startswith("error: ")


def test_what_a_package_says_itself_is_not_asked_for(run: Run, package: Path) -> None:
    assert "leave CHECKPOINT, --classes out" in run("info", package, "w.pth", "--classes", "a,b").err


def test_old_names_are_taken_for_one_version(run: Run, package: Path, street: Path, tmp_path: Path) -> None:
    masks = tmp_path / "d" / "masks"
    done = run("predict", package, street, "--to", masks)
    assert done.status == 0, done.err
    assert done.err == ""
    (tmp_path / "d" / "images").symlink_to(street)
    old = run("evaluate", package, "--layout", "folder", tmp_path / "d", "--out", tmp_path / "o", "--out-format", "npz")
    assert "aAcc 100.00" in old.out, old.err
    assert "warning: --layout is called --dataset now, and goes with the next version\n" in old.err
    assert "warning: --out-format is called --format now" in old.err
    assert (tmp_path / "o" / "street.npz").is_file()
    assert (
        "--layout is called --classes now" in run("predict", package, street, "--to", masks, "--layout", "camvid").err
    )


def test_json_without_a_file_is_printed(run: Run, package: Path, tmp_path: Path) -> None:
    printed = json.loads(run("info", package, "--json").out)
    assert json.loads(run("info", package, "--json", "-").out) == printed
    assert json.loads(run("info", "--json", "-", package).out) == printed
    assert run("info", package, "--json", tmp_path / "info.json").out != ""
    assert json.loads((tmp_path / "info.json").read_text()) == printed


def test_a_warning_of_anybody_is_one_clean_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> dict[str, Any]:
        warnings.warn("few\n  images", SegshipWarning, stacklevel=1)
        warnings.warn("theirs", UserWarning, stacklevel=1)
        return {}

    monkeypatch.setattr("segship.cli.doctor.examine", warn)
    monkeypatch.setattr("segship.cli.doctor._print", lambda _: None)
    plain = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        kept = warnings.showwarning
        assert run("doctor").err == "warning: few images\nwarning: theirs\n"
        assert run("doctor", "-q").err == ""
        assert warnings.showwarning is kept
    assert warnings.showwarning is plain


def test_verbose_tells_the_cause_and_quiet_the_line_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, Any]:
        raise BackendError("no engine") from ValueError("the cause")

    monkeypatch.setattr("segship.cli.doctor.examine", fail)
    assert run("doctor").err == "error: no engine\n"
    assert run("-q", "doctor").err == "error: no engine\n"
    told = run("doctor", "-v").err
    assert "ValueError: the cause" in told
    assert told.endswith("error: no engine\n")


def test_stages_are_lines_or_nothing(run: Run, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segship import deploy

    def export(*_: object, progress: Any, **__: object) -> segship.Package:
        progress("reading the network")
        return segship.Package(package, segship.Segmentor(package).manifest)

    monkeypatch.setattr(deploy, "export", export)
    assert " s  reading the network\n" in run("export", "c.py", "w.pth", tmp_path / "o", "-v").err
    quiet = run("-q", "export", "c.py", "w.pth", tmp_path / "o")
    assert (quiet.err, "verified" in quiet.out) == ("", True)


def test_without_a_word_the_commands_are_told(run: Run) -> None:
    assert "evaluate" in "".join(run().out + run().err)


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out == f"segship {segship.__version__}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [("segship ev", "evaluate"), ("segship tools exp", "export-onnx"), ("segship export --tar", "--target")],
)
def test_the_shell_completes(line: str, expected: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_SEGSHIP_COMPLETE": "complete_bash"}
    program = f"import sys; sys.argv = ['segship']; {WITHOUT_TORCH}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | words)
    assert expected in done.stdout.splitlines(), done.stderr


def test_json_replaces_nothing_but_json(run: Run, package: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "config.py").write_text("model = dict()")
    (tmp_path / "older.json").write_text('{"of": "yesterday"}')
    (tmp_path / "empty.json").touch()
    for name in ("photo.png", "config.py"):
        before = (tmp_path / name).read_bytes()
        assert "the file exists and is no JSON" in run("info", package, "--json", tmp_path / name).err
        assert (tmp_path / name).read_bytes() == before
    assert "it is a folder" in run("info", package, "--json", tmp_path).err
    for name in ("older.json", "empty.json", "new.json"):
        assert run("info", package, "--json", tmp_path / name).status == 0
        assert "spec" in json.loads((tmp_path / name).read_text())


@pytest.mark.parametrize("link", ["", "symlink_to", "hardlink_to"])
def test_no_command_writes_over_what_it_reads(run: Run, package: Path, tmp_path: Path, link: str) -> None:
    copied = shutil.copytree(package, tmp_path / "package")
    files = {"manifest": copied / "manifest.json", "log": tmp_path / "run.json", "config": tmp_path / "config.py"}
    files["log"].write_text('{"mode": "val", "mIoU": 0.5, "step": 1}\n')
    files["config"].write_text("a = 1\n")
    files["weights"] = tmp_path / "w.pth"
    files["weights"].write_bytes(b"weights")
    to = dict(files)
    for kind, file in files.items() if link else ():
        to[kind] = tmp_path / f"other-{kind}{file.suffix}"
        getattr(to[kind], link)(file)
    before = {kind: file.read_bytes() for kind, file in files.items()}
    two = (files["config"], files["weights"])
    for command in (
        ("info", copied, "--json", to["manifest"]),
        ("benchmark", copied, "--json", to["manifest"]),
        ("export", *two, tmp_path / "out", "--spec", files["manifest"], "--json", to["manifest"]),
        ("verify", *two, copied, "--spec", files["manifest"], "--json", to["manifest"]),
        ("tools", "flops", copied, "--json", to["manifest"]),
        ("tools", "log", files["log"], "--json", to["log"]),
        ("tools", "log", files["log"], "--out", to["log"]),
        ("tools", "config", files["config"], "--out", to["config"]),
        ("tools", "convert-weights", files["weights"], to["weights"]),
        ("tools", "export-onnx", files["config"], "--checkpoint", files["weights"], "--output-file", to["weights"]),
    ):
        done = run(*command)
        assert "read, and would be written over: choose another place" in done.err, (command, done.err)
        assert done.status == 2
    assert {kind: file.read_bytes() for kind, file in files.items()} == before


def test_an_evaluation_writes_its_figures_over_nothing_it_reads(
    run: Run, package: Path, street: Path, tmp_path: Path
) -> None:
    assert run("predict", package, street, "--to", tmp_path / "labels").status == 0
    command = ("evaluate", package, "--images", street, "--labels", tmp_path / "labels")
    for option, path in (
        ("--json", package / "manifest.json"),
        ("--confusion", tmp_path / "labels" / "street.png"),
        ("--confusion", street / "street.png"),
        ("--to", tmp_path / "labels"),
        ("--to", street),
    ):
        before = path.read_bytes() if path.is_file() else b""
        done = run(*command, option, path)
        assert "read, and would be written over: choose another place" in done.err, done.err
        assert (path.read_bytes() if path.is_file() else b"") == before
    for _ in range(2):  # its own results are replaced
        assert run(*command, "--json", tmp_path / "labels" / "figures.json", "--to", tmp_path / "own").status == 0
