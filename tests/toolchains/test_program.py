"""A vendor's program, by stand-ins: it ends, it fails, it hangs with children of its own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from segship.core.errors import BackendError
from segship.toolchains.program import last_lines, run_program


def python(text: str, folder: Path, seconds: float = 20) -> tuple[int, str]:
    ended = run_program([sys.executable, "-c", text], title="The compiler", folder=folder, seconds=seconds)
    return ended.status, ended.said


def test_both_streams_and_the_status_are_told(tmp_path: Path) -> None:
    text = "import os, sys; print(os.getcwd()); sys.stderr.write('E10001'); sys.exit(3)"
    status, said = python(text, tmp_path)
    assert (status, said.split()) == (3, [str(tmp_path), "E10001"])


def test_it_waits_for_no_answer(tmp_path: Path) -> None:
    assert python("input()", tmp_path)[1].strip().endswith("EOFError: EOF when reading a line")


def test_one_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    child = "import time; time.sleep(60)"
    text = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        "open('child', 'w').write(str(child.pid)); print('step 3 of 7', flush=True); time.sleep(60)"
    )
    with pytest.raises(BackendError, match=r"The compiler has not finished within 2 seconds, and was ended: step 3 of"):
        python(text, tmp_path, seconds=2)
    pid = int((tmp_path / "child").read_text())
    for _ in range(100):  # its entry goes when it has been waited for
        if not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        os.kill(pid, 9)
        pytest.fail("the child outlives the program")


def test_one_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="The compiler cannot be started: No such file or directory"):
        run_program(["/no/atc"], title="The compiler", folder=tmp_path, seconds=1)


def test_only_the_end_of_a_long_report_is_kept(tmp_path: Path) -> None:
    status, said = python("print('x' * 3_000_000); print('the end')", tmp_path)
    assert (status, len(said)) == (0, 2**20)
    assert last_lines(said).endswith(" / the end")
    assert last_lines("") == "it said nothing"
    assert last_lines("10%\r20%\r30%\ndone\n") == "10% / 20% / 30% / done"
