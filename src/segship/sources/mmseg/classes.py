"""Names and colours of the classes, from the best place that knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.datasets import layout_of_mmseg_type
from segship.datasets.class_names import Classes, numbered_classes, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["find_names", "name_classes"]

Palette = tuple[tuple[int, int, int], ...]
_BYTE = range(256)


def name_classes(count: int, meta: Mapping[str, Any], dataset: Mapping[str, Any]) -> Classes:
    """Return names and colours of ``count`` classes, and notes for the user.

    Asked are, in this order, what training noted in the checkpoint, the config's data set, and the data set that its
    type names. The first that names classes decides; when it names another number, names and colours are generated.

    Args:
        count: Number of classes.
        meta: Meta data of the checkpoint.
        dataset: The config's data set.
    """
    for where, names, colours in _candidates(meta, dataset):
        if len(names) == count:
            return Classes(names, _palette(names, colours, dataset))
        return numbered_classes(count, f"{where} names {len(names)} classes, but the network has {count}")
    return numbered_classes(count, "Neither the checkpoint nor the config names the classes")


def find_names(count: int, meta: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Return who names the classes that `name_classes` finds with the same arguments; empty: they are generated."""
    where, names, _ = next(_candidates(meta, dataset), ("", (), None))
    return where if len(names) == count else ""


def _candidates(meta: Mapping[str, Any], dataset: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Where the names come from, the names, and the colours as they are found."""
    noted, metainfo = meta.get("dataset_meta"), dataset.get("metainfo")
    places = (
        ("The checkpoint", noted, "classes", "palette"),
        ("The checkpoint", meta, "CLASSES", "PALETTE"),
        ("The config", metainfo, "classes", "palette"),
        ("The config", metainfo, "CLASSES", "PALETTE"),
        ("The config", dataset, "classes", "palette"),
        ("The config", dataset, "used_labels", "palette"),
    )
    for where, place, classes, palette in places:
        if isinstance(place, dict) and (names := _names(place.get(classes))):
            yield where, names, place.get(palette)
    if layout := layout_of_mmseg_type(_type(dataset)):
        yield f"The data set {layout.title}", layout.classes, layout.palette


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        return ()
    return tuple("".join(character for character in item if character.isprintable()).strip() for item in value)


def _type(dataset: Mapping[str, Any]) -> str:
    return str(dataset.get("type")).rpartition(".")[2]


def _palette(names: tuple[str, ...], colours: Any, dataset: Mapping[str, Any]) -> Palette:
    """``colours`` if there is a valid one for each name, else those of the data set, else generated ones."""
    if isinstance(colours, (list, tuple)) and len(colours) >= len(names) and all(map(_is_color, colours)):
        return tuple((color[0], color[1], color[2]) for color in colours[: len(names)])
    return palette_of(names, layout_of_mmseg_type(_type(dataset)))


def _is_color(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(part in _BYTE for part in value)  # noqa: PLR2004
