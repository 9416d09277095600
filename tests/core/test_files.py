from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.errors import InputError
from segship.core.files import digest, replace_directory, write_atomically

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
