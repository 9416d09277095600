"""Names and colours of classes, from whoever knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.errors import InputError
from segship.datasets import find_layout, layouts
from segship.datasets.class_names import (
    ClassNames,
    layout_of,
    layout_with,
    named_classes,
    numbered_classes,
    palette_of,
)
from segship.reading.description import Description
from segship.vision.palette import generate

ROOMS = Path(__file__).parents[2] / "src" / "segship"


def test_classes_without_names_are_numbered_with_a_note() -> None:
    assert numbered_classes(2, "Nobody knows") == (
        ("class-0", "class-1"),
        generate(2),
        ("Nobody knows: they are called class-0, class-1, …",),
    )
    assert named_classes(2) == numbered_classes(2)
    assert named_classes(1, palette=((1, 2, 3),)).palette == ((1, 2, 3),)


def test_names_that_are_told_come_before_those_of_a_data_set() -> None:
    layout = find_layout("cityscapes")
    assert named_classes(19, layout=layout) == (layout.classes, layout.palette, ())
    told = [f"mine {number}" for number in range(19)]
    assert named_classes(19, told, layout=layout)[:2] == (tuple(told), layout.palette)
    assert named_classes(19, told[:3], layout=layout)[:2] == (tuple(told[:3]), generate(3))


def test_colours_are_found_by_name_and_data_sets_by_their_classes() -> None:
    layout = find_layout("cityscapes")
    assert palette_of(["Road", "car"], layout) == (layout.palette[0], layout.palette[layout.classes.index("car")])
    assert palette_of(["road", "sea"], layout) == palette_of(["road", "sea"], None) == generate(2)
    ade20k = find_layout("ade20k")
    assert layout_with([name.upper() for name in ade20k.classes]) is ade20k
    assert layout_with(ade20k.classes[::-1]) is None


def test_a_data_set_is_found_by_the_beginning_of_its_name_and_the_number_of_classes() -> None:
    assert layout_of("pascal_context", 59) is layouts()["pascal_context_59"]
    assert layout_of("pascal_context", 60) is layouts()["pascal_context"]
    assert layout_of("pascal_context", 7) is None
    assert layout_of("", 19) is None


def test_nobody_who_says_how_many_is_an_error() -> None:
    with pytest.raises(InputError, match="does not say how many classes"):
        ClassNames().classes(None, Path("folder"))
    assert ClassNames(layout="cityscapes").classes(None, Path("folder")).names == find_layout("cityscapes").classes


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"classes": []}, "has 2 classes, but 0 are described"),
        ({"classes": 3}, "has 2 classes, but 3 are described: class-0"),
        ({"layout": "cityscapes"}, "has 2 classes, but 19 are described: road"),
        ({"palette": []}, "has 0 colours for 2 classes"),
    ],
)
def test_a_description_of_another_number_is_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(Exception, match=message):
        Description.model_validate(told).spec(source="x", architecture="x", outputs=2)


def test_only_one_module_numbers_classes() -> None:
    found = [file for file in ROOMS.rglob("*.py") if 'f"class-{' in file.read_text(encoding="utf-8")]
    assert found == [ROOMS / "datasets" / "class_names.py"]
