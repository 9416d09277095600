"""How what a label map stores becomes the classes of a network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.vision.decode import MAX_PIXELS, read_labels
from segship.vision.label_maps import label_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.datasets.layout import Layout
    from segship.datasets.samples import Sample

__all__ = ["IGNORE", "LabelEncoding", "Truth", "encoding_for", "match_classes", "survey"]

IGNORE = 255
"""Label of pixels that do not count."""

_BYTE = 256
_COLOURED = 3  # dimensions
_TWO = 2


@dataclass(frozen=True, eq=False)
class Truth:
    """The label map of one image.

    Attributes:
        labels: (H, W) uint8 or uint16: a class of the network, or `IGNORE`.
        unknown_values: Number of pixels for each value that is neither a class nor to be ignored: ``{"label 7": 120}``
            or ``{"colour #ff00aa": 3}``. They are `IGNORE` in ``labels``.
    """

    labels: NDArray[Any]
    unknown_values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelEncoding:
    """The meaning of the numbers in a label map.

    Attributes:
        classes: How many classes the files have.
        reduce_zero_label: Whether label 0 means "ignore" and all others move down by one.
        palette: Colour of each class, for files that store colours; empty: such files are refused.
        relabel: The network's class for each class of the files, `IGNORE` where it has none; empty: the same.
        ignore: A label beside `IGNORE` whose pixels do not count: a class of the network, or a number of the files that
            is no class; None: no other.
        colours: More colours that stand for a class of the files.
        grey: Whether files that store colours repeat the number in red, green and blue.
        binary: Whether 255 is class 1, not `IGNORE`: masks of two classes in black and white.
    """

    classes: int
    reduce_zero_label: bool = False
    palette: tuple[tuple[int, int, int], ...] = ()
    relabel: tuple[int, ...] = ()
    ignore: int | None = None
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    grey: bool = False
    binary: bool = False

    def read(self, sample: Sample) -> Truth:
        """Return the label map of a sample.

        Raises:
            InputError: It has none, or the file cannot be used.
        """
        if sample.labels is None:
            raise InputError(f"{sample.image} has no label map")
        stored = read_labels(sample.labels, max_pixels=MAX_PIXELS, colours=bool(self.palette))
        return self.understand(str(sample.labels), stored, sample.table)

    def understand(self, name: str, stored: NDArray[Any], table: Mapping[int, int] | None = None) -> Truth:
        """Return what a file, or a part of one, means.

        Args:
            name: What to call the file in messages.
            stored: Its numbers (H, W), uint8 or uint16, or its colours (H, W, 3).
            table: As for `decode`.

        Raises:
            InputError: It is a picture.
        """
        if stored.ndim == _COLOURED and not self.grey:
            return self._colours(name, stored.astype(np.uint8))
        return self.decode(_first_channel(stored), table)

    def decode(self, stored: NDArray[Any], table: Mapping[int, int] | None = None) -> Truth:
        """Turn stored numbers into classes, as MMSegmentation's ``LoadAnnotations`` does.

        Args:
            stored: (H, W) uint8 or uint16.
            table: Class of each stored number, where they are not the classes themselves.
        """
        size = _BYTE if stored.dtype == np.uint8 else 1 << 16
        lookup, unknown = self._lookup(size, table)
        present = _present(stored, size)
        found = np.flatnonzero(unknown & present)
        if not (present & (lookup != np.arange(size))).any():
            labels: NDArray[Any] = stored.astype(lookup.dtype, copy=False)
        elif stored.dtype == np.uint8 and lookup.dtype == np.uint8:
            labels = np.asarray(cv2.LUT(np.ascontiguousarray(stored), lookup))
        else:
            labels = lookup[stored]
        return Truth(labels, {f"label {number}": int(np.count_nonzero(stored == number)) for number in found})

    def _lookup(self, size: int, table: Mapping[int, int] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The class of every number a file can store, and which numbers mean nothing."""
        labels = np.arange(size)
        if table is not None:
            labels = np.full(size, IGNORE)
            for number, label in table.items():
                labels[number] = label
        elif self.binary:
            labels[IGNORE] = 1
        elif self.reduce_zero_label:
            labels = np.where((labels == 0) | (labels == IGNORE), IGNORE, labels - 1)
        if self.ignore is not None and self.ignore >= self.classes:
            labels[labels == self.ignore] = IGNORE
        unknown = (labels >= self.classes) & (labels != IGNORE)
        labels[unknown] = IGNORE
        if self.relabel:
            targets = np.full(max(size, IGNORE + 1), IGNORE)
            targets[: len(self.relabel)] = self.relabel
            labels = targets[labels]
        if self.ignore is not None:
            labels[labels == self.ignore] = IGNORE
        return labels.astype(label_dtype(int(labels.max()) + 1)), unknown

    def _colours(self, name: str, stored: NDArray[np.uint8]) -> Truth:
        """Turn colours (H, W, 3) into classes; black means "ignore" where it is no class's colour."""
        codes = _packed(stored)
        known = _packed(np.asarray([*self.palette, *(colour for colour, _ in self.colours)], np.uint8))
        numbers = np.asarray([*range(len(self.palette)), *(number for _, number in self.colours)])
        order = np.argsort(known)
        sorted_known = known[order]
        if (np.diff(sorted_known) == 0).any():
            raise InputError("the label map stores colours, but two classes of the data set share one")
        place = np.minimum(np.searchsorted(sorted_known, codes), len(known) - 1)
        hit = sorted_known[place] == codes
        classes = np.asarray(self.relabel or range(self.classes))[numbers[order]][place]
        dtype = label_dtype(int(classes.max()) + 1)
        labels = np.where(hit & (classes != self.ignore), classes, IGNORE).astype(dtype)
        values, counts = np.unique(codes[~hit & (codes != 0)], return_counts=True)
        if len(values) > _BYTE and counts.sum() > codes.size / 2:
            raise InputError(f"{name} has {len(values)} colours that are no class's: a picture, not a label map")
        return Truth(labels, {f"colour #{value:06x}": int(count) for value, count in zip(values, counts, strict=True)})


def survey(encoding: LabelEncoding, samples: Iterable[Sample]) -> LabelEncoding:
    """Find out what only the label maps tell: whether they repeat numbers in three channels, or are black and white.

    Files are read until one decides it: usually the first.

    Args:
        encoding: As it is known without the files.
        samples: Whose label maps they are.

    Returns:
        The same, with ``grey`` and ``binary`` as they are found.
    """
    black_and_white: set[int] = set()
    coloured = False
    for sample in samples:
        stored = _stored(sample, encoding)
        if stored is None:
            continue
        numbers = _first_channel(stored)
        if stored.ndim == _COLOURED and not (stored == numbers[:, :, None]).all():
            return encoding
        coloured = coloured or stored.ndim == _COLOURED
        values = set(np.unique(numbers).tolist())
        if not values <= {0, IGNORE}:
            return replace(encoding, grey=_are_numbers(values, encoding)) if coloured else encoding
        black_and_white |= values
    binary = encoding.classes == _TWO and IGNORE in black_and_white and not encoding.reduce_zero_label
    return replace(encoding, binary=binary, grey=coloured and binary)


def _stored(sample: Sample, encoding: LabelEncoding) -> NDArray[Any] | None:
    """What the label map holds; None where there is none, or it cannot be read."""
    if sample.labels is None or sample.table is not None:
        return None
    try:
        return read_labels(sample.labels, max_pixels=MAX_PIXELS, colours=bool(encoding.palette))
    except InputError:
        return None


def _are_numbers(values: set[int], encoding: LabelEncoding) -> bool:
    """Whether shades of grey are numbers of classes, not colours of a palette."""
    return all(value < encoding.classes + encoding.reduce_zero_label or value == IGNORE for value in values)


def _first_channel(stored: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(stored[:, :, 0]) if stored.ndim == _COLOURED else stored


def _present(stored: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Which of ``size`` numbers occur."""
    if stored.dtype == np.uint8:
        counts = cv2.calcHist([np.ascontiguousarray(stored)], [0], None, [size], [0, size])
        return np.asarray(counts).reshape(-1) > 0
    return np.bincount(stored.reshape(-1), minlength=size) > 0


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    parts = colours.astype(np.int64)
    packed: NDArray[np.int64] = parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]
    return packed


def match_classes(theirs: Sequence[str], ours: Sequence[str]) -> tuple[int, ...]:
    """Return for each of ``theirs`` its place among ``ours``, by name; empty where both are the same.

    Args:
        theirs: Classes of label maps, or of another network.
        ours: Classes of the network.

    Returns:
        `IGNORE` for a class that ``ours`` lacks. Lists of equal length count as the same even where names differ, since
        one class has many spellings.

    Raises:
        InputError: ``ours`` has classes that ``theirs`` lacks.
    """
    names, wanted = list(map(_plain, theirs)), list(map(_plain, ours))
    if len(names) == len(wanted) and set(names) != set(wanted):
        return ()
    lacking = [name for name, plain in zip(ours, wanted, strict=True) if plain not in names]
    if lacking:
        raise InputError(
            f"the network has {len(ours)} classes, the data {len(theirs)}, and {', '.join(map(repr, lacking[:3]))} "
            f"{'is' if len(lacking) == 1 else 'are'} not among them: another data set, or another network, is needed"
        )
    place = {plain: number for number, plain in enumerate(wanted)}
    found = tuple(place.get(plain, IGNORE) for plain in names)
    return () if found == tuple(range(len(ours))) else found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def encoding_for(layout: Layout, classes: Sequence[str], *, reduce_zero_label: bool | None = None) -> LabelEncoding:
    """Return the encoding that reads a data set's label maps for a network.

    Args:
        layout: The data set.
        classes: Names of the network's classes.
        reduce_zero_label: Whether label 0 means "ignore" and the others move down; None: as the data set has it.

    Raises:
        InputError: The network has classes that the data set lacks.
    """
    reduce = layout.reduce_zero_label if reduce_zero_label is None else reduce_zero_label
    relabel = match_classes(layout.classes, classes)
    return LabelEncoding(len(layout.classes), reduce, layout.palette, relabel, colours=layout.colours)
