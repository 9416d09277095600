"""Names and colours of classes: told by a user or a file, known from a data set's layout, else numbered.

The one place where classes without names are called class-0, class-1, …, and where colours are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from segship.core.errors import InputError
from segship.datasets import find_layout, layouts
from segship.vision.palette import generate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.datasets.layout import Layout

__all__ = ["ClassNames", "Classes", "layout_of", "layout_with", "named_classes", "numbered_classes", "palette_of"]

_MOST = 2**16  # labels of a map

Palette = tuple[tuple[int, int, int], ...]


class Classes(NamedTuple):
    """The classes of a network.

    Attributes:
        names: Name of each class, in the order of the labels.
        palette: Colour of each class, RGB.
        notes: Notes for the user.
    """

    names: tuple[str, ...]
    palette: Palette
    notes: tuple[str, ...] = ()


def numbered_classes(count: int, why: str = "The classes have no names", *, palette: Palette | None = None) -> Classes:
    """Return classes that are called class-0, class-1 and so on.

    Args:
        count: Number of classes.
        why: Beginning of the note that says so.
        palette: Colour of each class; None: generated.

    Raises:
        InputError: They are more than label maps, of 16 bits, can tell apart.
    """
    if count > _MOST:
        raise InputError(f"there are {count} classes, more than the {_MOST} that label maps can tell apart")
    names = tuple(f"class-{number}" for number in range(count))
    return Classes(
        names, generate(count) if palette is None else palette, (f"{why}: they are called class-0, class-1, …",)
    )


def named_classes(
    count: int, names: Sequence[str] = (), *, layout: Layout | None = None, palette: Palette | None = None
) -> Classes:
    """Return classes by the names that are told, else by those of a data set, else numbered.

    Args:
        count: Number of classes where neither ``names`` nor ``layout`` says one.
        names: Names that a user or a file tells; may be empty.
        layout: Data set whose classes they are, or None.
        palette: Colours that are told; None: the data set's where it has as many, else generated.
    """
    told = tuple(names) or (layout.classes if layout is not None else ())
    if not told:
        return numbered_classes(count, palette=palette)
    if palette is None and layout is not None and len(layout.palette) == len(told):
        palette = layout.palette
    return Classes(told, generate(len(told)) if palette is None else palette)


def palette_of(names: Sequence[str], layout: Layout | None) -> Palette:
    """Return the colours that a data set has for classes, by their names; generated ones where it lacks one."""
    colours = dict(zip(map(str.casefold, layout.classes), layout.palette, strict=True)) if layout else {}
    plain = [name.casefold() for name in names]
    return tuple(colours[name] for name in plain) if colours.keys() >= set(plain) else generate(len(names))


def layout_with(names: Sequence[str]) -> Layout | None:
    """Return the data set that has just these classes, in this order, or None."""
    plain = [name.casefold() for name in names]
    return next((layout for layout in layouts().values() if [*map(str.casefold, layout.classes)] == plain), None)


def layout_of(prefix: str, count: int) -> Layout | None:
    """Return the data set whose name begins with ``prefix`` and that has ``count`` classes, or None."""
    known = layouts().items() if prefix else ()
    return next((layout for key, layout in known if key.startswith(prefix) and len(layout.classes) == count), None)


@dataclass(frozen=True)
class ClassNames:
    """The classes as a user names them, where the files themselves do not.

    Attributes:
        names: In the order of the labels.
        layout: Data set whose classes and colours they are: ``cityscapes``.
    """

    names: tuple[str, ...] = ()
    layout: str | None = None

    @property
    def reduce_zero_label(self) -> bool:
        """True where label 0 of the data set's files means "ignore" and all others move down by one."""
        return self.layout is not None and find_layout(self.layout).reduce_zero_label

    def classes(self, count: int | None, where: Path) -> Classes:
        """Return names, colours, and notes for the user.

        Args:
            count: How many there must be; None: the files do not say.
            where: For error messages.

        Raises:
            InputError: Another number is named, or nobody says how many there are.
        """
        if count is None and not self.names and not self.layout:
            raise InputError(f"{where} does not say how many classes there are: name them, or their data set's layout")
        layout = find_layout(self.layout) if self.layout else None
        found = named_classes(count or 0, self.names, layout=layout)
        if count is not None and len(found.names) != count:
            raise InputError(f"{where} has {count} classes, but {len(found.names)} are named: {', '.join(found.names)}")
        return found
