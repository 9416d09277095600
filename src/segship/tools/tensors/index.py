"""index.json: image -> inputs -> label map, and all that is needed to read the outputs back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from segship.core.errors import InputError, validation_line
from segship.core.files import write_atomically
from segship.core.mistakes import ValidationError
from segship.core.plan import NetworkSpec, newer_version
from segship.core.spec import Frozen
from segship.core.validation import Bound

if TYPE_CHECKING:
    from segship.datasets.label_encoding import LabelEncoding

__all__ = ["INDEX", "TABLE", "Index", "Packed", "StoredEncoding", "TensorFile", "read_index"]

INDEX = "index.json"
TABLE = "index.csv"
_OLD = {"version": "schema_version"}  # as version 0.1 of Segship called it

Positive = Annotated[int, Bound(gt=0)]


class TensorFile(Frozen):
    """One input of the network.

    Attributes:
        file: Name of the ``.bin``: float32, little-endian, C order.
        shape: (1, C, H, W).
    """

    file: str
    shape: tuple[Positive, Positive, Positive, Positive]


class Packed(Frozen):
    """One image.

    Attributes:
        name: Path below its folder, without suffix.
        image: The file.
        labels: Its label map, or None.
        table: Class of each number in the label map, where they are not the classes themselves.
        size: (height, width) of the image.
        inputs: What the network is given: one tensor, or one for each window, line by line from the left.
    """

    name: str
    image: str
    labels: str | None
    table: dict[int, int] | None = None
    size: tuple[Positive, Positive]
    inputs: tuple[TensorFile, ...]


class StoredEncoding(Frozen):
    """The meaning of the numbers in the label maps; see `segship.datasets.label_encoding.LabelEncoding`."""

    classes: int
    reduce_zero_label: bool = False
    palette: tuple[tuple[int, int, int], ...] = ()
    relabel: tuple[int, ...] = ()
    ignore: int | None = None
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    grey: bool = False
    binary: bool = False

    @classmethod
    def of(cls, encoding: LabelEncoding) -> StoredEncoding:
        """``encoding`` as it is stored."""
        return cls(**vars(encoding))


class Index(NetworkSpec):
    """A packed data set and the network that it is packed for.

    Attributes:
        schema_version, spec, sizes: As `segship.core.plan.NetworkSpec`.
        coding: The meaning of the numbers in the label maps.
        items: The images.
    """

    coding: StoredEncoding  # as the file has it
    items: tuple[Packed, ...]

    def write(self, folder: Path) -> None:
        """Write ``index.json``, and ``index.csv`` with the columns image, bin, labels for other programs.

        Args:
            folder: Where the inputs lie.
        """
        write_atomically(folder / INDEX, (self.model_dump_json(indent=1) + "\n").encode())
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("image", "bin", "labels"))
        writer.writerows((item.image, tensor.file, item.labels or "") for item in self.items for tensor in item.inputs)
        write_atomically(folder / TABLE, table.getvalue().encode())


def read_index(folder: str | Path) -> Index:
    """Return the index that `pack` wrote into ``folder``.

    Args:
        folder: What `pack` wrote.

    Returns:
        The index.

    Raises:
        InputError: There is none, or it is damaged or newer than this version.
    """
    path = Path(folder) / INDEX
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"{folder} holds no {INDEX}: give the folder that `segship tools tensors pack` wrote"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is damaged: pack again") from None
    if isinstance(data, dict):
        data = {_OLD.get(key, key): value for key, value in data.items()}
    if newer := newer_version(data):
        raise InputError(f"{path} {newer}")
    try:
        return Index.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {validation_line(error)}; pack again") from None
