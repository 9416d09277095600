from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segship.datasets import find_layout
from segship.sources.mmseg.classes import Places, name_classes
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
    ],
)
def test_names_come_from_the_best_place(meta: dict[str, Any], dataset: dict[str, Any]) -> None:
    assert name_classes(2, meta, dataset)[:3] == (NAMES, COLOURS, ())


def test_names_come_from_the_type_of_the_data_set_last() -> None:
    layout = find_layout("ade20k")
    whole = name_classes(150, {}, {"type": "ADE20KDataset"}, Places("palettes.py"))
    assert whole[:3] == (layout.classes, layout.palette, ())
    assert str(whole.coloured) == str(whole.named) == f"palettes.py: {Places().dataset}.type"


def test_colours_of_some_classes_of_a_data_set_are_its_own() -> None:
    layout = find_layout("cityscapes")
    names = ("car", "road")
    found = name_classes(2, {}, {"type": "CityscapesDataset", "metainfo": {"classes": names}})
    assert found.notes == ()
    assert found.palette == tuple(layout.palette[layout.classes.index(name)] for name in names)


@pytest.mark.parametrize(
    ("palette", "said"),
    [
        (None, "None for a palette"),
        ("random", "'random' for a palette"),
        ([(1, 2)] * 2, "2 colours for 2 classes"),
        ([(1, 2, 300)] * 2, "2 colours for 2 classes"),
        ([(1, 2, 3)], "1 colours for 2 classes, which MMSegmentation refuses"),
        ((*COLOURS, (7, 8, 9)), "3 colours for 2 classes, which MMSegmentation refuses"),
        ([(1.5, 2, 3)] * 2, "2 colours for 2 classes"),
    ],
)
def test_colours_that_do_not_fit_are_generated_and_it_is_said(palette: Any, said: str) -> None:
    _, colours, (note,), named, coloured = name_classes(2, {"CLASSES": NAMES, "PALETTE": palette}, {})
    assert colours == generate(2)
    assert said in note
    assert str(named) == "the checkpoint: meta.CLASSES"
    assert str(coloured) == "default: made for as many classes"


def test_colours_that_nobody_gives_are_generated() -> None:
    found = name_classes(2, {"CLASSES": NAMES}, {})
    assert (found.palette, found.notes, found.coloured.kind) == (generate(2), (), "default")


def test_first_place_with_as_many_names_decides_and_it_is_said() -> None:
    old = {"CLASSES": tuple(f"old{number}" for number in range(19))}
    dataset = {"metainfo": {"classes": NAMES, "palette": COLOURS}}
    found = name_classes(2, old, dataset, Places("classes.py", "b.pth", "test_dataloader.dataset"))
    assert found[:2] == (NAMES, COLOURS)
    assert found.notes == (
        (
            "The checkpoint names 19 classes, but the network has 2: the names of "
            "classes.py: test_dataloader.dataset.metainfo.classes were taken"
        ),
    )
    assert str(found.coloured) == "classes.py: test_dataloader.dataset.metainfo.palette"


@pytest.mark.parametrize("classes", ["water", ("water",), ["water"]])
def test_one_class_of_a_binary_network_is_its_foreground(classes: Any) -> None:
    dataset = {"metainfo": {"classes": classes, "palette": [[0, 255, 255]]}}
    found = name_classes(2, {}, dataset, binary=True)
    assert found[:2] == (("background", "water"), ((0, 0, 0), (0, 255, 255)))
    assert "is label 1; label 0 is the background" in found.notes[0]
    assert name_classes(1, {}, dataset)[0] == ("water",)
    assert "names 1 classes, but the network has 3" in name_classes(3, {}, dataset).notes[0]


def test_a_single_text_is_one_name_and_the_name_of_a_text_file_means_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "names.txt").write_text("road\n tree\n\n")
    places = Places(folder=tmp_path / "config")
    for dataset in ({"metainfo": {"classes": "names.txt"}}, {"classes": "names.txt"}):
        assert name_classes(2, {}, dataset, places).names == ("road", "tree")
    monkeypatch.chdir(tmp_path)
    assert name_classes(2, {}, {"classes": "config/names.txt"}).names == ("road", "tree")
    lost, generated = name_classes(2, {}, {"classes": "lost.txt"}, places).notes
    assert "'lost.txt'" in lost
    assert "Neither" in generated


@pytest.mark.parametrize("name", ["/etc/passwd", "a\0.txt", "x" * 5000 + ".txt", "/dev/zero", "."])
def test_other_files_are_not_read_for_names(name: str) -> None:
    names = name_classes(2, {}, {"classes": name}).names
    assert names == ("class-0", "class-1")


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
    names, colours, notes, named, _ = name_classes(3, meta, dataset)
    note = notes[-1]
    assert names == ("class-0", "class-1", "class-2")
    assert colours == generate(3)
    assert words in str(named)
    assert named.kind == "assumed"
    assert words in note


def test_names_are_one_line_each() -> None:
    assert name_classes(2, {"CLASSES": ("a\n\x1b[1mb ", "bed ")}, {})[0] == ("a[1mb", "bed")
