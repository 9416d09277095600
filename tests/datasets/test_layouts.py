from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from segship.core.errors import UnsupportedError
from segship.datasets import find_layout, layout_of_mmseg_type, layouts
from segship.datasets.layout import Layout, split_table

RECORDED = json.loads((Path(__file__).parents[1] / "references" / "mmseg_datasets.json").read_text())


def test_every_data_set_that_mmsegmentation_knows_is_known() -> None:
    known = {name for layout in layouts().values() for name in layout.mmseg_types}
    assert known == set(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_data_set_is_as_mmsegmentation_has_it(name: str) -> None:
    layout = layout_of_mmseg_type(name)
    assert layout is not None
    recorded = RECORDED[name]
    text = json.dumps([layout.classes, layout.palette])
    assert len(layout.classes) == recorded["classes"]
    assert hashlib.sha256(text.encode()).hexdigest() == recorded["sha256"]
    assert layout.image_suffix == recorded["img_suffix"]
    assert layout.label_suffix == recorded["seg_map_suffix"]
    assert layout.reduce_zero_label is recorded["reduce_zero_label"]


def test_names_are_found_and_near_ones_suggested() -> None:
    assert find_layout("cityscapes").classes[0] == "road"
    with pytest.raises(UnsupportedError, match="Did you mean 'cityscapes'"):
        find_layout("cityscape")
    assert layout_of_mmseg_type("MyDataset") is None


def test_subset_and_variants_share_their_classes() -> None:
    context, fewer = find_layout("pascal_context"), find_layout("pascal_context_59")
    assert fewer.classes == context.classes[1:]
    assert not context.reduce_zero_label
    assert fewer.reduce_zero_label
    assert find_layout("coco_stuff10k").classes == find_layout("coco_stuff164k").classes
    assert find_layout("bdd100k").palette == find_layout("cityscapes").palette


@pytest.mark.parametrize("name", sorted(layouts()))
def test_data_is_plausible(name: str) -> None:
    layout = layouts()[name]
    assert len(set(layout.classes)) == len(layout.classes)
    assert all(item == item.strip() and item for item in layout.classes)
    assert all(0 <= part <= 255 for color in layout.palette for part in color)
    assert set(layout.splits) <= {"train", "val", "test"}


def test_table_of_classes() -> None:
    assert split_table("\n804080 road\n0000ff traffic light\n") == (
        ("road", "traffic light"),
        ((128, 64, 128), (0, 0, 255)),
    )
    with pytest.raises(ValueError, match="2 classes, but 1 colours"):
        Layout("x", ("a", "b"), ((1, 2, 3),))
