from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.vision.draw import Style, contact_sheet, contours, legend, overlay, picture, write_jpeg, write_png
from segship.vision.palette import colour_blind

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLOURS = ((200, 0, 0), (0, 100, 0))


def flat(height: int, width: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize(("opacity", "expected"), [(0, [100, 100, 100]), (0.5, [150, 50, 50]), (1, [200, 0, 0])])
def test_the_overlay_mixes_image_and_colour(opacity: float, expected: list[int]) -> None:
    drawn = overlay(flat(2, 3, (100, 100, 100)), np.zeros((2, 3), np.uint8), COLOURS, opacity)
    assert drawn.dtype == np.uint8
    assert drawn.reshape(-1, 3).tolist() == [expected] * 6


def test_labels_without_a_colour_leave_the_image_alone() -> None:
    drawn = overlay(flat(1, 2, (100, 100, 100)), np.array([[1, 255]], np.uint8), COLOURS, 1)
    assert drawn.tolist() == [[[0, 100, 0], [100, 100, 100]]]


def test_the_overlay_leaves_its_inputs_alone_and_takes_views() -> None:
    image, mask = flat(4, 6, (9, 9, 9)), np.ones((6, 4), np.uint8).T
    drawn = overlay(image[:, ::-1], mask, COLOURS)
    assert drawn.shape == (4, 6, 3)
    assert (image == 9).all()


def test_an_overlay_of_other_size_or_opacity_is_refused() -> None:
    with pytest.raises(InputError, match=r"the image is \(2, 3\) pixels, its mask \(3, 2\)"):
        overlay(flat(2, 3, (0, 0, 0)), np.zeros((3, 2), np.uint8), COLOURS)
    with pytest.raises(InputError, match="opacity is within 0-1, not 2"):
        overlay(flat(2, 3, (0, 0, 0)), np.zeros((2, 3), np.uint8), COLOURS, 2)


def test_the_legend_shows_every_colour_and_wraps_into_its_width() -> None:
    names, colours = ("road", "sky", "a rather long name"), ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    wide, narrow = legend(names, colours, width=600), legend(names, colours, width=120)
    assert wide.shape[1] == 600
    assert narrow.shape[1] == 120
    assert narrow.shape[0] > 2 * wide.shape[0]
    for strip in (wide, narrow):
        assert set(colours) <= set(map(tuple, strip.reshape(-1, 3).tolist()))


def test_a_contact_sheet_places_pictures_in_rows() -> None:
    red, green, blue = flat(10, 20, (255, 0, 0)), flat(10, 20, (0, 255, 0)), flat(10, 20, (0, 0, 255))
    sheet = contact_sheet([red, green, blue], columns=2)
    assert sheet.shape == (8 + 10 + 8 + 10 + 8, 8 + 20 + 8 + 20 + 8, 3)
    np.testing.assert_array_equal(sheet[8:18, 8:28], red)
    np.testing.assert_array_equal(sheet[8:18, 36:56], green)
    np.testing.assert_array_equal(sheet[26:36, 8:28], blue)
    assert (sheet[26:36, 36:] == 255).all()


def test_a_contact_sheet_shrinks_large_pictures_and_writes_titles() -> None:
    large = flat(100, 400, (255, 0, 0))
    plain, titled = contact_sheet([large], width=40), contact_sheet([large], width=40, titles=("mask",))
    assert plain.shape == (8 + 10 + 8, 8 + 40 + 8, 3)
    assert titled.shape[0] > plain.shape[0]
    assert titled[: titled.shape[0] - plain.shape[0]].min() < 128


def test_a_contact_sheet_needs_pictures_and_a_column_for_each_title() -> None:
    with pytest.raises(InputError, match="contact sheet"):
        contact_sheet([])
    with pytest.raises(InputError, match="contact sheet"):
        contact_sheet([flat(1, 1, (0, 0, 0))], titles=("a", "b"), columns=1)


def test_pictures_are_written_in_rgb(tmp_path: Path) -> None:
    image = flat(8, 8, (250, 10, 10))
    write_png(tmp_path / "new" / "a.png", image)
    write_jpeg(tmp_path / "a.jpg", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "a.png"))[:, :, ::-1], image)
    with Image.open(tmp_path / "a.jpg") as jpeg:
        assert jpeg.format == "JPEG"
        assert np.abs(np.asarray(jpeg).astype(int) - image).max() < 8


def test_a_picture_too_long_for_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JPEG holds at most 65535 pixels a side"):
        write_jpeg(tmp_path / "long.jpg", np.zeros((1, 65536, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_has_what_its_style_asks_for() -> None:
    image, mask = flat(40, 60, (100, 100, 100)), np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 1
    plain = picture(image, mask, ("road", "sky"), COLOURS, Style())
    assert np.array_equal(plain, overlay(image, mask, COLOURS))
    drawn = picture(image, mask, ("road", "sky", "sea"), (*COLOURS, (7, 8, 9)), Style(legend=True, contours=True))
    assert drawn[:40, 29].tolist() == [[255] * 3] * 40
    assert np.array_equal(drawn[:40, :29], plain[:, :29])
    assert (drawn[:40, 60:] == 255).all()  # the legend needs more room than the image has
    named = set(map(tuple, drawn[40:].reshape(-1, 3).tolist()))
    assert set(COLOURS) <= named
    assert (7, 8, 9) not in named  # it does not occur
    seen = picture(image, mask, ("road", "sky"), COLOURS, Style(1, palette="colour-blind"))
    assert seen[0, [0, 59]].tolist() == [list(colour) for colour in colour_blind(2)]
    with pytest.raises(InputError, match="no palette 'bright': expected package or colour-blind"):
        Style(palette="bright")  # type: ignore[arg-type]


def test_contours_are_wide_enough_to_be_seen() -> None:
    mask = np.zeros((1500, 1600), np.uint8)
    mask[:, 800:] = 1
    assert np.flatnonzero(contours(mask)[700]).size == 3
    assert not contours(np.zeros((3, 4), np.uint8)).any()


def _as_seen_without(cones: str, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB as dichromats see it: Vienot, Brettel, Mollon (1999)."""
    rows = {
        "red": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "green": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    return colours @ np.array(rows[cones]).T


@pytest.mark.parametrize("cones", ["red", "green"])
def test_colour_blind_people_tell_eight_classes_apart(cones: str) -> None:
    colours = _as_seen_without(cones, (np.array(colour_blind(8)) / 255) ** 2.2)
    apart = np.abs(np.clip(colours, 0, 1)[:, None] ** (1 / 2.2) - np.clip(colours, 0, 1)[None] ** (1 / 2.2)).max(-1)
    assert apart[~np.eye(8, dtype=bool)].min() > 0.1
    assert len(set(colour_blind(150))) == 150
