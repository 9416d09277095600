"""What a Segmentor is not given: one error each, that says what is expected; and copies of it."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segship
from segship.core.errors import SegshipError
from segship.core.files import bring_back

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {"threads": "a"}, {"threads": 0}, {"threads": -1}, {"threads": True}, {"threads": 1.5}, {"device": 3},
        {"device": "gpu!"}, {"channel_order": "zzz"}, {"channel_order": None}, {"channel_order": ["rgb"]},
        {"max_pixels": 0}, {"max_pixels": "many"}, {"classes": "road"},
    ],
)  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(exported: segship.Package, options: dict[str, Any]) -> None:
    with pytest.raises(SegshipError):
        segship.Segmentor(exported.path, **options)


@pytest.mark.parametrize("package", [None, 3, b"package", "a\0b", "a" * 5000, ["package"]])
def test_what_is_no_path_is_refused(package: Any) -> None:
    with pytest.raises(SegshipError):
        segship.Segmentor(package)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_images_that_are_none_are_refused_and_matrices_are_grey(exported: segship.Package) -> None:
    with segship.Segmentor(exported) as segmentor:
        images: list[Any] = ["a\0b.png", "a" * 5000, 3, None, IMAGE.astype(np.float32), IMAGE[:, :, :2], IMAGE[:0]]
        for image in images:
            with pytest.raises(SegshipError):
                segmentor(image)
        with pytest.raises(SegshipError, match="channel_order is 'rgb' or 'bgr', not 'zzz'"):
            segmentor(IMAGE, channel_order="zzz")  # type: ignore[call-overload]
        with pytest.raises(SegshipError, match="channel_order"):
            segmentor.scores(IMAGE, channel_order="")  # type: ignore[arg-type]
        matrix: Any = np.asmatrix(IMAGE[:, :, 0])
        np.testing.assert_array_equal(segmentor(matrix), segmentor(IMAGE[:, :, 0]))


def test_copies_open_the_package_again(exported: segship.Package, street: Path) -> None:
    with segship.Segmentor(exported, threads=1, channel_order="bgr") as segmentor:
        expected = segmentor(street)
        for again in (pickle.loads(pickle.dumps(segmentor)), copy.deepcopy(segmentor), copy.copy(segmentor)):  # noqa: S301  (made two words before)
            np.testing.assert_array_equal(again(street), expected)
            np.testing.assert_array_equal(again(IMAGE), segmentor(IMAGE))
            again.close()
        np.testing.assert_array_equal(segmentor(street), expected)
    with pytest.raises(SegshipError, match="cannot be copied"):
        pickle.dumps(segmentor)


def test_a_package_that_a_killed_export_moved_away_is_brought_back(exported: segship.Package, tmp_path: Path) -> None:
    place = tmp_path / "package"
    shutil.copytree(exported.path, tmp_path / f".{place.name}.segship-old-x")
    with segship.Segmentor(place) as segmentor:
        assert segmentor.classes
    bring_back(place)
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
