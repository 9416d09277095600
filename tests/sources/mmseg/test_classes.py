from __future__ import annotations

from typing import Any

import pytest

from segship.datasets import find_layout
from segship.sources.mmseg.classes import name_classes
from segship.vision.palette import generate

NAMES, COLOURS = ("road", "tree"), ((1, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    ("meta", "dataset"),
    [
        ({"dataset_meta": {"classes": NAMES, "palette": COLOURS}, "CLASSES": ("x", "y")}, {"type": "ADE20KDataset"}),
        ({"dataset_meta": {"classes": list(NAMES), "palette": [list(color) for color in COLOURS]}}, {}),
        ({"CLASSES": NAMES, "PALETTE": COLOURS}, {"metainfo": {"classes": ("x", "y")}}),
        ({}, {"metainfo": {"classes": NAMES, "palette": COLOURS}, "type": "CityscapesDataset"}),
        ({"dataset_meta": None}, {"classes": NAMES, "palette": COLOURS}),
        ({"dataset_meta": {"classes": None}}, {"classes": NAMES, "palette": COLOURS}),
        ({"CLASSES": NAMES, "PALETTE": (*COLOURS, (7, 8, 9))}, {}),
    ],
)
def test_names_come_from_the_best_place(meta: dict[str, Any], dataset: dict[str, Any]) -> None:
    assert name_classes(2, meta, dataset) == (NAMES, COLOURS, ())


def test_names_come_from_the_type_of_the_data_set_last() -> None:
    layout = find_layout("ade20k")
    assert name_classes(150, {}, {"type": "ADE20KDataset"}) == (layout.classes, layout.palette, ())


def test_colours_of_some_classes_of_a_data_set_are_its_own() -> None:
    layout = find_layout("cityscapes")
    names = ("car", "road")
    _, colours, _ = name_classes(2, {}, {"type": "CityscapesDataset", "metainfo": {"classes": names}})
    assert colours == tuple(layout.palette[layout.classes.index(name)] for name in names)


@pytest.mark.parametrize("palette", [None, "random", [(1, 2)] * 2, [(1, 2, 300)] * 2, [(1, 2, 3)], [(1.5, 2, 3)] * 2])
def test_colours_that_cannot_be_used_are_generated(palette: Any) -> None:
    assert name_classes(2, {"CLASSES": NAMES, "PALETTE": palette}, {})[1] == generate(2)


@pytest.mark.parametrize(
    ("meta", "dataset", "words"),
    [
        ({}, {}, "Neither"),
        ({}, {"type": "Unknown", "classes": "names.txt"}, "Neither"),
        ({"CLASSES": NAMES}, {}, "The checkpoint names 2 classes, but the network has 3"),
        ({}, {"type": "CityscapesDataset"}, "Cityscapes names 19 classes, but the network has 3"),
        ({"CLASSES": [1, 2, 3]}, {}, "Neither"),
    ],
)
def test_names_are_generated_with_a_note(meta: dict[str, Any], dataset: dict[str, Any], words: str) -> None:
    names, colours, (note,) = name_classes(3, meta, dataset)
    assert names == ("class-0", "class-1", "class-2")
    assert colours == generate(3)
    assert words in note


def test_names_are_one_line_each() -> None:
    assert name_classes(2, {"CLASSES": ("a\n\x1b[1mb ", "bed ")}, {})[0] == ("a[1mb", "bed")
