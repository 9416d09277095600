"""What engines compile is kept once, whole, for its owner alone, and within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segship.core import compiled
from segship.core.compiled import FOLDER, compiled_folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "segship" / FOLDER


def keep(name: str, content: bytes = b"compiled") -> Path:
    with compiled_folder(name, "engine 1", {"threads": 2}) as folder:
        assert folder is not None
        (folder / "a.blob").write_bytes(content)
    (entry,) = [path for path in folder.parent.iterdir() if (path / "a.blob").read_bytes() == content]
    return entry


def fail() -> None:
    with compiled_folder("model", "engine 1") as folder:
        assert folder is not None
        (folder / "half.blob").write_bytes(b"half")
        raise RuntimeError


def found(name: str, *parts: object) -> list[str]:
    with compiled_folder(name, *(parts or ("engine 1", {"threads": 2}))) as folder:
        assert folder is not None
        return sorted(path.name for path in folder.glob("*.blob"))


def test_what_was_compiled_is_there_at_the_next_start(root: Path) -> None:
    entry = keep("model")
    assert found("model") == ["a.blob"]
    assert entry.parent == root
    assert root.stat().st_mode & 0o777 == entry.stat().st_mode & 0o777 == 0o700
    assert found("another") == found("model", "engine 2", {"threads": 2}) == found("model", "engine 1", {}) == []
    assert list(root.iterdir()) == [entry]  # nothing was compiled for the others


def test_nothing_is_kept_without_a_digest_or_after_an_error(root: Path) -> None:
    with compiled_folder("", "engine 1") as folder:
        assert folder is None
    assert not root.exists()
    with pytest.raises(RuntimeError):
        fail()
    assert not list(root.iterdir())


@pytest.mark.parametrize("damage", ["changed", "added", "record", "link"])
def test_what_does_not_fit_its_digest_is_made_again(root: Path, damage: str, tmp_path: Path) -> None:
    entry = keep("model")
    if damage == "changed":
        (entry / "a.blob").write_bytes(b"c0mpiled")
    elif damage == "added":
        (entry / "b.blob").write_bytes(b"")
    elif damage == "record":
        (entry / "digests.json").write_text("[")
    else:
        entry.rename(tmp_path / "elsewhere")
        entry.symlink_to(tmp_path / "elsewhere")
    assert found("model") == []
    assert not entry.exists()
    keep("model", b"again")
    assert found("model") == ["a.blob"]
    assert root.is_dir()


def test_a_folder_that_others_may_write_is_not_used(root: Path, tmp_path: Path) -> None:
    keep("model")
    root.chmod(0o777)
    with compiled_folder("model", "engine 1", {"threads": 2}) as folder:
        assert folder is None
    root.chmod(0o700)
    root.rename(tmp_path / "real")
    root.symlink_to(tmp_path / "real")
    with compiled_folder("model", "engine 1", {"threads": 2}) as folder:
        assert folder is None


def test_those_used_longest_ago_go_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_MOST_ENTRIES", 3)
    entries = [keep(str(number), f"{number}".encode()) for number in range(3)]
    for age, entry in enumerate(reversed(entries)):
        os.utime(entry, (1e9 - age, 1e9 - age))
    assert found("0") == ["a.blob"]  # used now
    keep("3", b"3")
    assert [entry.exists() for entry in entries] == [True, False, True]
    monkeypatch.setattr(compiled, "_MOST_BYTES", 10)
    last = keep("4", b"4")
    assert list(root.iterdir()) == [last]
