"""Names and colours of the classes, from the best place that knows as many as the network has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.provenance import Reading, assumed, default, read
from segship.datasets import layout_of_mmseg_type
from segship.datasets.class_names import numbered_classes, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from segship.datasets.layout import Layout

__all__ = ["FoundClasses", "Places", "name_classes"]

Palette = tuple[tuple[int, int, int], ...]
_BYTE = range(256)
_BINARY = 2
_BACKGROUND = ("background", (0, 0, 0))
_NAME_FILES = frozenset({".names", ".txt"})
_MAXIMUM_BYTES = 2**18
_NOT_GIVEN = ""


@dataclass(frozen=True)
class Places:
    """What the places that may name classes are called.

    Attributes:
        config: Name of the config.
        checkpoint: Name of the checkpoint.
        dataset: Key of the config's data set.
        folder: Where the config lies, beside which a file of names may lie.
    """

    config: str = "the config"
    checkpoint: str = "the checkpoint"
    dataset: str = "the data set"
    folder: Path | None = None


class FoundClasses(NamedTuple):
    """The classes of a network.

    Attributes:
        names: Name of each class, in the order of the labels.
        palette: Colour of each class, RGB.
        notes: Notes for the user.
        named: Who names them.
        coloured: Who says their colours.
    """

    names: tuple[str, ...]
    palette: Palette
    notes: tuple[str, ...]
    named: Reading
    coloured: Reading


class _Candidate(NamedTuple):
    """A place that names classes: what to call it at the beginning of a note, its key, the names, the colours."""

    title: str
    key: str
    names: tuple[str, ...]
    colours: Any


def name_classes(
    count: int,
    meta: Mapping[str, Any],
    dataset: Mapping[str, Any],
    places: Places | None = None,
    *,
    binary: bool = False,
) -> FoundClasses:
    """Return names and colours of ``count`` classes, notes for the user, and who says them.

    Asked are, in this order, what training noted in the checkpoint, the config's data set, and the data set that its
    type names. The first that names as many classes as the network has decides; those before it are noted. A binary
    network has as many where one class is named, too: the one that is not the background.

    Args:
        count: Number of classes, 2 for a binary network.
        meta: Meta data of the checkpoint.
        dataset: The config's data set.
        places: What to call the places.
        binary: Whether the network has one score, whose threshold parts two classes.
    """
    places = places or Places()
    layout = layout_of_mmseg_type(str(dataset.get("type")).rpartition(".")[2])
    unfit: list[str] = []
    notes = [note for note in [_lost_file(dataset, places)] if note]
    for candidate in _candidates(meta, dataset, layout, places):
        if len(candidate.names) == count or (binary and len(candidate.names) == 1):
            notes += [f"{said}: the names of {candidate.key} were taken" for said in unfit]
            return _found(candidate, layout, notes, lone=len(candidate.names) < count)
        unfit.append(f"{candidate.title} names {len(candidate.names)} classes, but the network has {count}")
    why = unfit[0] if unfit else "Neither the checkpoint nor the config names the classes"
    numbered = numbered_classes(count, why)
    generated = default("made for as many classes")
    return FoundClasses(numbered.names, numbered.palette, (*notes, *numbered.notes), assumed(why), generated)


def _found(candidate: _Candidate, layout: Layout | None, notes: Sequence[str], *, lone: bool) -> FoundClasses:
    palette, note = _palette(candidate, layout)
    names = candidate.names
    place, _, key = candidate.key.rpartition(".")
    palettes = {"type": "type", "CLASSES": "PALETTE"}  # of a known data set, both come from its name
    coloured = read(f"{place}.{palettes.get(key, 'palette')}")
    if note or candidate.colours == _NOT_GIVEN:
        coloured = default("made for as many classes") if layout is None else read(f"the data set {layout.title}")
    if lone:
        note += f"{' ' if note else ''}The one class that {candidate.key} names is label 1; label 0 is the background"
        names, palette = (_BACKGROUND[0], *names), (_BACKGROUND[1], *palette)
    return FoundClasses(names, palette, (*notes, *filter(None, [note])), read(candidate.key), coloured)


def _candidates(
    meta: Mapping[str, Any], dataset: Mapping[str, Any], layout: Layout | None, places: Places
) -> Iterator[_Candidate]:
    noted, metainfo = meta.get("dataset_meta"), dataset.get("metainfo")
    checkpoint, config = f"{places.checkpoint}: meta", f"{places.config}: {places.dataset}"
    asked = (
        ("The checkpoint", f"{checkpoint}.dataset_meta", noted, "classes", "palette"),
        ("The checkpoint", checkpoint, meta, "CLASSES", "PALETTE"),
        ("The config", f"{config}.metainfo", metainfo, "classes", "palette"),
        ("The config", f"{config}.metainfo", metainfo, "CLASSES", "PALETTE"),
        ("The config", config, dataset, "classes", "palette"),
        ("The config", config, dataset, "used_labels", "palette"),
    )
    for title, key, place, classes, palette in asked:
        if isinstance(place, dict) and (names := _names(place.get(classes), places)):
            yield _Candidate(title, f"{key}.{classes}", names, place.get(palette, _NOT_GIVEN))
    if layout is not None:
        yield _Candidate(f"The data set {layout.title}", f"{config}.type", layout.classes, layout.palette)


def _names(value: Any, places: Places) -> tuple[str, ...]:
    """The names: a list of them, the name of a file with one a line, or a single one."""
    if isinstance(value, str):
        file = _name_file(value, places)
        value = [value] if file is None and not _looks_like_a_file(value) else _lines(file)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        return ()
    return tuple("".join(character for character in item if character.isprintable()).strip() for item in value)


def _looks_like_a_file(value: str) -> bool:
    return Path(value).suffix.lower() in _NAME_FILES


def _name_file(value: str, places: Places) -> Path | None:
    """The file of names that ``value`` means: from the working directory, as MMSegmentation, or beside the config."""
    if not _looks_like_a_file(value):
        return None
    try:
        tried = [Path(value), *([places.folder / value] if places.folder else [])]
        return next((path for path in tried if path.is_file()), None)
    except (OSError, ValueError):
        return None


def _lines(file: Path | None) -> list[str]:
    try:
        if file is None or file.stat().st_size > _MAXIMUM_BYTES:
            return []
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line for line in lines if line.strip()]


def _lost_file(dataset: Mapping[str, Any], places: Places) -> str:
    """A note where the config names a file of names that is not there."""
    metainfo = dataset.get("metainfo")
    for place in (metainfo, dataset):
        value = place.get("classes") if isinstance(place, dict) else None
        if isinstance(value, str) and _looks_like_a_file(value) and not _lines(_name_file(value, places)):
            return (
                f"The config takes the names of the classes from {value!r:.100}, which holds none, or is neither in "
                "the working directory nor beside the config"
            )
    return ""


def _palette(candidate: _Candidate, layout: Layout | None) -> tuple[Palette, str]:
    """The colours if there is a valid one for each name, else the data set's, else generated; a note where others."""
    names, colours = candidate.names, candidate.colours
    many = len(colours) if isinstance(colours, (list, tuple)) else None
    if many == len(names) and all(map(_is_color, colours)):
        return tuple((color[0], color[1], color[2]) for color in colours), ""
    told = palette_of(names, layout)
    if colours == _NOT_GIVEN or (layout is not None and many == len(layout.palette)):  # of all, some of which are used
        return told, ""
    what = f"{colours!r:.40} for a palette" if many is None else f"{many} colours for {len(names)} classes"
    return told, (
        f"{candidate.title} has {what}, which MMSegmentation refuses or draws at random: other colours are used here"
    )


def _is_color(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(part in _BYTE for part in value)  # noqa: PLR2004
