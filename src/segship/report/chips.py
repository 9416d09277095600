"""Tables of what chips returned, as the vendors' own model zoos print them, and reports of adopted packages alone."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from segship.backends import find_backend
from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.core.manifest import read_manifest
from segship.report.layout import document, grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from segship.core.manifest import Manifest
    from segship.core.target import Target

__all__ = ["ChipRow", "as_html", "as_markdown", "chip_rows", "read_adopted", "write_chips"]

_CHIPS = ("soc", "arch", "platform", "march", "hw_arch")
"""Options that name a chip, as the backends call them."""

_ACCURACY = (
    "Model",
    "Batch_Size",
    "Shape",
    "Precision",
    "aAcc(%)",
    "mIoU(%)",
    "mAcc",
    "Chip",
    "Network mIoU(%)",
    "Dataset",
)
_SPEED = ("Model", "Chip", "Precision", "Batch Size", "FPS")
_NOTE = "FPS is what the vendor's tool told of the engine alone; accuracy is over {images} images. {state}."


@dataclass(frozen=True)
class ChipRow:
    """What one chip returned for one number of images at once.

    Attributes:
        model: The network.
        chip: As the vendor names it.
        precision: As the vendor calls it.
        batch: Images at once.
        shape: Height x width of the input.
        images: Number of labelled images.
        dataset: Name of the data set that they are of; empty: not known.
        aAcc, mIoU, mAcc: In percent; None: not known.
        network: mIoU of the network itself, on the same images, in percent.
        images_per_second: Of the engine alone, as the vendor's tool told it; None: it was not timed.
        labels_equal: Least share of labels, 0-1, that chip and network have in common.
        state: What is known of the package, in words.
    """

    model: str
    chip: str
    precision: str
    batch: int
    shape: str
    images: int
    dataset: str
    aAcc: float | None
    mIoU: float | None
    mAcc: float | None
    network: float | None
    images_per_second: float | None
    labels_equal: float
    state: str


def read_adopted(folders: Iterable[Path]) -> list[Manifest]:
    """Read packages that `segship.kits.adopt` made.

    Args:
        folders: Of the packages.

    Returns:
        Their manifests, in the same order.

    Raises:
        PackageError: One is no package, or was changed.
        InputError: One was not adopted, so that no chip has returned anything.
    """
    found = []
    for folder in folders:
        manifest = read_manifest(folder)
        if manifest.adopted is None:
            raise InputError(
                f"{folder} was not made of what a chip returned, expected a package of segship adopt; "
                "segship report CONFIG CHECKPOINT --targets … evaluates and times what runs here"
            )
        found.append(manifest)
    return found


def chip_rows(packages: Iterable[Manifest]) -> tuple[ChipRow, ...]:
    """List what is known of each number of images at once.

    Args:
        packages: Those that were adopted are listed.

    Returns:
        A row for each package and number of images.
    """
    return tuple(row for manifest in packages for row in _rows(manifest))


def _rows(manifest: Manifest) -> list[ChipRow]:
    adopted = manifest.adopted
    if adopted is None:
        return []
    shared: dict[str, Any] = {
        "model": manifest.spec.architecture,
        "chip": _chip(manifest.target),
        "precision": _precision(manifest.target),
        "shape": "x".join(map(str, manifest.target.shape.static or manifest.inputs[0].shape[2:])),
        "images": adopted.images,
        "dataset": adopted.dataset,
        "network": None if adopted.network is None else adopted.network.mIoU,
        "labels_equal": adopted.agreement,
        "state": "; ".join((manifest.standing, *manifest.failures)),
    }
    rows = []
    for result in adopted.results:
        figures = {} if result.figures is None else result.figures.model_dump()
        told: dict[str, Any] = {name: figures.get(name) for name in ("aAcc", "mIoU", "mAcc")}
        rows.append(ChipRow(**shared, **told, batch=result.batch, images_per_second=result.images_per_second))
    return rows


def _chip(target: Target) -> str:
    chip = next((target.options[name] for name in _CHIPS if name in target.options), None)
    return str(chip or find_backend(target.backend).INFO.title)


def _precision(target: Target) -> str:
    names = find_backend(target.backend).INFO.precision_names
    return next((name for name, meant in names.items() if meant == target.precision), target.precision)


def _tables(found: Sequence[ChipRow]) -> list[list[tuple[str, ...]]]:
    """The tables that anything is known for, each with its head first."""
    accuracy: list[tuple[str, ...]] = [
        (
            *(row.model, str(row.batch), row.shape, row.precision),
            *(_percent(value) for value in (row.aAcc, row.mIoU, row.mAcc)),
            *(row.chip, _percent(row.network), row.dataset),
        )
        for row in found
        if row.mIoU is not None
    ]
    speed: list[tuple[str, ...]] = [
        (row.model, row.chip, row.precision, str(row.batch), f"{row.images_per_second:.2f}")
        for row in found
        if row.images_per_second is not None
    ]
    return [[head, *lines] for head, lines in ((_ACCURACY, accuracy), (_SPEED, speed)) if lines]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _notes(found: Sequence[ChipRow]) -> list[str]:
    """A sentence for each state and number of images, which the tables do not tell."""
    return list(dict.fromkeys(_NOTE.format(images=row.images, state=f"{row.chip}: {row.state}") for row in found))


def as_markdown(found: Sequence[ChipRow]) -> str:
    """Write the tables of documents about chips: model, batch, shape, precision -> aAcc, mIoU, mAcc; batch -> FPS.

    Args:
        found: What chips returned.

    Returns:
        Markdown; empty where nothing is known.
    """
    tables = ["\n".join(map(_line, (head, ["---"] * len(head), *lines))) for head, *lines in _tables(found)]
    return "\n\n".join(tables)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"


def as_html(found: Sequence[ChipRow]) -> str:
    """Write the same as HTML, with what must be known of the figures below it.

    Args:
        found: What chips returned.
    """
    tables = (grid(head, [[escape(text) for text in line] for line in lines]) for head, *lines in _tables(found))
    notes = (f'<p class="soft">{escape(note)}</p>' for note in _notes(found))
    return "".join((*tables, *notes))


def write_chips(packages: Sequence[Manifest], folder: Path) -> dict[str, Path]:
    """Write ``report.html``, ``report.md``, ``report.csv`` and ``report.json`` of adopted packages.

    Args:
        packages: As `read_adopted` reads them.
        folder: Where to.

    Returns:
        Each file by its suffix.

    Raises:
        InputError: A file cannot be written.
    """
    found = chip_rows(packages)
    title = ", ".join(dict.fromkeys(row.model for row in found)) or "chips"
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(ChipRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, found))
    notes = "\n\n".join(_notes(found))
    texts = {
        "html": document(title, f"<h1>{escape(title)}</h1><h2>On chips</h2>{as_html(found)}"),
        "md": f"# {_line([title])[2:-2]}\n\n{as_markdown(found)}\n\n{notes}\n",
        "csv": table.getvalue(),
        "json": json.dumps({"chips": [asdict(row) for row in found]}, indent=1, ensure_ascii=False) + "\n",
    }
    paths = {suffix: folder / f"report.{suffix}" for suffix in texts}
    for suffix, text in texts.items():
        write_atomically(paths[suffix], text.encode())
    return paths
