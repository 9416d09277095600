"""What is printed, and how a command fails: names are never markup, streams may be full or closed, memory may lack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

from segship import cli
from segship.cli import output
from segship.core.errors import MissingExtraError
from segship.core.manifest import Comparison
from segship.core.memory import is_out_of_memory
from segship.evaluation import Evaluation
from segship.metrics.confusion import scores
from support.commands import refused

NAMES = ("[/road]", "side[walk]", "[bold]b[final].jpg", ":smile:", "segship[openvino]")
HOSTILE = {"red\x1b[31m\x07": "red\\x1b[31m\\x07", "caf\udce9": "caf\\udce9"}
LINUX = sys.platform == "linux"


def shell(line: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    command = f"{before} {sys.executable} -m segship {line}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)


def test_names_in_tables_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*NAMES, *HOSTILE):
        table = Table(title=name, caption=name)
        table.add_column(name)
        table.add_row(name)
        output.show(table)
        shown = capsys.readouterr().out
        assert shown.count(HOSTILE.get(name, name)) == 4, shown


def test_names_in_lines_are_no_commands_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for name, shown in HOSTILE.items():
        output.say(name)
        output.warn(name)
        captured = capsys.readouterr()
        assert captured.out == f"{shown}\n"
        assert captured.err == f"warning: {shown}\n"


def test_class_and_image_names_survive_the_tables_of_results(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = np.eye(len(NAMES), dtype=np.int64)
    output.print_evaluation(Evaluation(1, NAMES, matrix, scores(matrix)))
    check = Comparison(
        input=(1, 3, 4, 4), image=NAMES[2], labels_equal=1, max_difference=0, mean_difference=0, pixels_differ=0
    )
    output.print_checks((check,))
    shown = capsys.readouterr().out
    for name in NAMES:
        assert name in shown


def test_only_one_place_makes_consoles() -> None:
    words = ("rich.console", "rich.print", "from_markup")
    files = {path.name: path.read_text() for path in Path(cli.__file__).parent.rglob("*.py")}
    assert [name for name, text in files.items() if any(word in text for word in words)] == ["output.py"]


def test_json_has_no_nan_and_takes_any_name(tmp_path: Path) -> None:
    output.write_json(tmp_path / "x.json", {"a": [float("nan"), 1.5], "name": "caf\udce9"})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.5], "name": "caf\udce9"}


@pytest.mark.skipif(not LINUX, reason="a device of Linux's")
@pytest.mark.parametrize("options", ["", "--json -"])
def test_a_full_standard_output_is_an_error(options: str) -> None:
    done = shell(f"zoo list pspnet* {options} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(not LINUX, reason="a shell's redirection")
def test_a_closed_standard_output_is_an_error_before_anything_is_done() -> None:
    done = shell("zoo list >&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard output is closed" in done.stderr
    assert shell("zoo list 2>&- >/dev/null").returncode == 0


@pytest.mark.skipif(not LINUX, reason="limits of Linux's")
@pytest.mark.parametrize("kilobytes", [150_000, 250_000])
def test_too_little_memory_is_told_in_one_line(package: Path, street: Path, tmp_path: Path, kilobytes: int) -> None:
    done = shell(f"predict {package} {street} --to {tmp_path / 'out'}", before=f"ulimit -v {kilobytes};")
    assert "not enough memory" in refused(done)


def test_lack_of_memory_is_known_by_what_libraries_say() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("can't start new thread"))
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert not is_out_of_memory(RuntimeError("a shape is wrong"))
    error = ValueError("x")
    error.__cause__ = ImportError("libtorch_cpu.so: failed to map segment from shared object")
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'onnx'"), "is not installed: pip install"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory to load it"),
        (ImportError("libGL.so.1: cannot open shared object file"), "cannot be loaded (libGL.so.1: cannot open"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_reason(error: ImportError, words: str) -> None:
    try:
        raise error
    except ImportError:
        assert words in str(MissingExtraError("Exporting", "export", "onnx"))


def run_main(monkeypatch: pytest.MonkeyPatch, action: object) -> int:
    """The status of the command line whose subcommand does ``action``."""

    def doctor(**_: object) -> None:
        assert callable(action)
        action()

    monkeypatch.setattr(sys, "argv", ["segship", "doctor"])
    monkeypatch.setattr("segship.cli.doctor.examine", doctor)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_bug_asks_for_a_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError("x")

    assert run_main(monkeypatch, fail) == 70
    told = capsys.readouterr().err
    assert told.startswith("error: this is a bug of Segship (KeyError: 'x'): please report it")
    assert told.count("\n") == 1


def test_an_interruption_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        with output.resumable("--resume goes on"):
            raise KeyboardInterrupt

    assert run_main(monkeypatch, stop) == 130
    assert capsys.readouterr().err == "interrupted; --resume goes on\n"


def test_lines_are_broken_only_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from segship.cli.zoo import list_models

    monkeypatch.setenv("COLUMNS", "60")
    list_models("segformer_mit-b2*")
    name = "segformer_mit-b2_8xb2-160k_ade20k-512x512"
    assert any(name in line for line in capsys.readouterr().out.splitlines())
