from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from segship.core.errors import InputError
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    from pathlib import Path


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_a_folder_is_searched_to_its_depth_and_sorted(tmp_path: Path) -> None:
    b, a, deep = touch(tmp_path, "b.PNG", "a.jpeg", "c/d/e.tif")
    touch(tmp_path, "notes.txt", ".hidden.png", ".cache/x.png", "c/._e.tif")
    (tmp_path / "folder.png").mkdir()
    assert find_images([tmp_path]) == [a, b, deep]


def test_a_link_to_nothing_is_found_so_that_its_reader_says_so(tmp_path: Path) -> None:
    (image,) = touch(tmp_path, "b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "lost.png")
    assert find_images([tmp_path]) == [tmp_path / "a.png", image]


def test_files_keep_their_order_whatever_their_suffix_and_come_once(tmp_path: Path) -> None:
    odd, png = touch(tmp_path, "odd.data", "a.png")
    assert find_images([odd, str(tmp_path), png]) == [odd, png]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"holds no image: expected files that end with \.png"):
        find_images([tmp_path])


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: no such file or folder"):
        find_images([tmp_path / "missing"])
