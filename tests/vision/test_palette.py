from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.vision.decode import read_labels
from segship.vision.label_maps import label_dtype
from segship.vision.palette import colorize, generate, write_mask_png

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = ((10, 20, 30), (40, 50, 60), (70, 80, 90))


def test_generated_colours_are_those_of_the_pascal_voc_scheme() -> None:
    assert generate(6) == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128))
    assert generate(20)[19] == (0, 64, 128)  # tv/monitor, the last of the twenty


def test_generated_colours_are_distinct_and_not_black() -> None:
    colours = generate(1000)
    assert len(set(colours) | {(0, 0, 0)}) == 1001


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_each_label_becomes_its_colour_and_unknown_ones_black(dtype: type[np.integer]) -> None:
    coloured = colorize(np.array([[0, 2], [1, 255]], dtype), COLOURS)
    assert coloured.dtype == np.uint8
    assert coloured.tolist() == [[[10, 20, 30], [70, 80, 90]], [[40, 50, 60], [0, 0, 0]]]


def test_a_negative_label_is_black() -> None:
    assert colorize(np.array([[-1]]), COLOURS).tolist() == [[[0, 0, 0]]]


def test_more_than_256_classes_have_colours() -> None:
    palette = generate(300)
    assert colorize(np.array([[299]], np.uint16), palette).tolist() == [[list(palette[299])]]
    assert colorize(np.array([[255]], np.uint8), palette).tolist() == [[list(palette[255])]]


def test_a_mask_file_holds_labels_and_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write_mask_png(tmp_path / "new" / "mask.png", mask, COLOURS)
    with Image.open(tmp_path / "new" / "mask.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colorize(mask, COLOURS))
    np.testing.assert_array_equal(read_labels(tmp_path / "new" / "mask.png"), mask)


def test_a_mask_of_many_classes_has_sixteen_bits(tmp_path: Path) -> None:
    mask = np.array([[0, 300, 65535]], np.uint16)
    write_mask_png(tmp_path / "mask.png", mask, generate(301))
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), mask)


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"uint8 or uint16 \(height, width\), not float32 of shape \(2, 2\)"):
        write_mask_png(tmp_path / "mask.png", np.zeros((2, 2), np.float32), COLOURS)
    with pytest.raises(InputError, match=r"integer array \(height, width\), not uint8 of shape \(2, 2, 3\)"):
        colorize(np.zeros((2, 2, 3), np.uint8), COLOURS)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_mask_png(tmp_path / "file" / "mask.png", np.zeros((2, 2), np.uint8), COLOURS)


def test_labels_are_as_wide_as_they_must_be() -> None:
    assert [label_dtype(count) for count in (1, 256, 257)] == [np.uint8, np.uint8, np.uint16]
