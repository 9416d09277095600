from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from segship.core.errors import InputError, PackageError
from segship.core.files import (
    bring_back,
    digest,
    file_inside,
    holds_only,
    replace_directory,
    scratch_directory,
    write_atomically,
)

# SHA-256 of "abc", FIPS 180-2, appendix B.1
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def yes(_: Path) -> bool:
    return True


def test_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    found = digest(tmp_path / "abc")
    assert (found.size, found.sha256) == (3, ABC)


def test_the_directory_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with replace_directory(out, replaceable=yes) as directory:
        (directory / "file").write_text("new")
        assert not out.exists()
    assert (out / "file").read_text() == "new"
    assert names(out.parent) == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_older_directory_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("old")

    def fail_halfway() -> None:
        with replace_directory(out, replaceable=yes) as directory:
            (directory / "file").write_text("half")
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert (out / "file").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_an_older_directory_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "leftover").write_text("old")
    with replace_directory(out, replaceable=yes) as directory:
        (directory / "file").write_text("new")
    assert names(out) == ["file"]
    assert names(tmp_path) == ["out"]


def test_a_directory_of_something_else_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    out.mkdir()
    (out / "photo").write_text("dear")
    with pytest.raises(InputError, match="holds something else"), replace_directory(out, replaceable=lambda _: False):
        pass
    assert (out / "photo").read_text() == "dear"


@pytest.mark.parametrize("name", [".", "../out"])
def test_the_directory_one_is_in_is_refused_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    begun = []
    with (
        pytest.raises(InputError, match="is the directory you are in, and would be replaced: name one in it"),
        replace_directory(Path(name), replaceable=yes) as directory,
    ):
        begun.append(directory)
    assert not begun
    assert names(tmp_path) == ["out"]


def test_a_file_in_the_way_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("dear")
    with pytest.raises(InputError, match="not a directory"), replace_directory(tmp_path / "out", replaceable=yes):
        pass
    assert (tmp_path / "out").read_text() == "dear"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"abc")
    assert digest(path).sha256 == ABC
    (tmp_path / "wall").write_text("a file, no folder")
    with pytest.raises(InputError, match="cannot write"):
        write_atomically(tmp_path / "wall" / "file", b"abc")


KILLED = """
import os, signal, sys
from pathlib import Path
from segship.core import files
steps, exchanges = int(sys.argv[2]), sys.argv[3] == "exchange"
if not exchanges:
    files._exchange = lambda *_: False
exchange = files._exchange
seen = 0
watch = {None, "open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.scandir", "os.listdir"}
def step(event=None, _=None):
    global seen
    if event in watch:
        seen += 1
        if seen > steps:
            os.kill(os.getpid(), signal.SIGKILL)
def watched(*places):
    step()
    done = exchange(*places)
    step()
    return done
files._exchange = watched
sys.addaudithook(step)
with files.replace_directory(Path(sys.argv[1]), replaceable=lambda _: True) as directory:
    for name in ("a", "b"):
        (directory / name).write_text("new")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("way", ["exchange", "two steps"])
def test_a_kill_at_any_file_operation_leaves_a_whole_directory(tmp_path: Path, way: str) -> None:
    out = tmp_path / "out"
    ends = []
    for steps in range(200):
        with replace_directory(out, replaceable=yes) as directory:  # as the next command does; removes what was left
            for name in ("a", "b"):
                (directory / name).write_text("old")
        assert names(tmp_path) == ["out"]
        done = subprocess.run([sys.executable, "-c", KILLED, str(out), str(steps), way], check=False)
        bring_back(out)
        found = {path.name: path.read_text() for path in out.iterdir()}
        assert found in ({"a": "old", "b": "old"}, {"a": "new", "b": "new"}), (steps, found)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        ends.append(found["a"])
    assert {"old", "new"} <= set(ends)
    assert done.returncode == 0
    assert names(tmp_path) == ["out"]


def test_a_sibling_that_is_still_worked_on_is_not_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with scratch_directory(out) as first:
        (first / "file").write_text("mine")
        with replace_directory(out, replaceable=yes) as second:
            (second / "file").write_text("new")
        assert (first / "file").read_text() == "mine"
    assert names(tmp_path) == ["out"]


def test_two_writers_end_with_one_winner_and_nothing_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys, time; from pathlib import Path; from segship.core.files import replace_directory\n"
        "for _ in range(20):\n"
        "    with replace_directory(Path(sys.argv[1]), replaceable=lambda _: True) as folder:\n"
        "        (folder / 'file').write_text(sys.argv[2]); (folder / 'twin').write_text(sys.argv[2])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(out), name]) for name in ("one", "two")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert (out / "file").read_text() == (out / "twin").read_text()
    assert names(tmp_path) == ["out"]


def test_a_folder_that_another_writer_is_removing_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, seen = tempfile.mkdtemp, list[Path]()

    def taken_for_stale(**names: Any) -> str:
        made = make(**names)
        seen.append(Path(made))
        if len(seen) == 1:
            handle = os.open(made, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            threading.Timer(0.2, lambda: (shutil.rmtree(made), os.close(handle))).start()
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", taken_for_stale)
    with replace_directory(tmp_path / "out", replaceable=yes) as folder:
        assert folder != seen[0]
        assert not seen[0].exists()
    assert names(tmp_path) == ["out"]


def test_siblings_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.mine").mkdir()
    with replace_directory(tmp_path / "out", replaceable=yes):
        pass
    assert names(tmp_path) == [".out.mine", "out"]
    assert names(tmp_path / "out") == []


def test_a_folder_that_holds_something_of_the_users_is_told_from_one_that_can_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("ours")
    assert holds_only(tmp_path, {"a", "b"})
    (tmp_path / "notes").write_text("theirs")
    assert not holds_only(tmp_path, {"a", "b"})
    (tmp_path / "notes").unlink()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not holds_only(tmp_path, {"a", "b"})


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "\x1b[2J", "a" * 256])
def test_a_name_that_no_system_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageError, match="no system can have"):
        file_inside(tmp_path, name)
