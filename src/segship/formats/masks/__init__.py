"""Label maps as other tools read them: each format once, for `segship predict`, `segship evaluate` and the service.

Most formats have a file for each image. COCO, CVAT and Label Studio have one for the folder: what it holds of an image
is written beside the results as soon as the image is done, in the folder `PARTS`, and joined at the end, so that an
interrupted run goes on.
"""

from __future__ import annotations

import importlib
import io
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.formats.masks.labelled import Labelled, Meaning, Part, Parts
from segship.vision.palette import encode_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FORMATS", "PARTS", "Labelled", "MaskForm", "MaskFormat", "Meaning", "as_npz", "find", "to_json"]

MaskFormat: TypeAlias = Literal["png", "npz", "coco", "rle", "geojson", "labelstudio", "cvat", "yolo"]

PARTS = ".parts"
"""Folder, among the results, of what files on the whole folder hold of each image."""


@dataclass(frozen=True)
class MaskForm:
    """One format.

    Attributes:
        suffix: Of the file of an image.
        encode: Makes this file.
        whole: Makes the text of each file on the whole folder, by its name; the first stands for the labels where an
            image has no file of its own.
        joined: Whether the files on the whole folder hold what there is of the images, which is JSON until then.
    """

    suffix: str
    encode: Callable[[Labelled], bytes]
    whole: Mapping[str, Callable[[Parts, Meaning], Iterator[str]]]
    joined: bool = False

    def own(self, name: str) -> str:
        """The file of an image, below the folder of the results.

        Args:
            name: Of the image's results.
        """
        return f"{PARTS}/{name}.{self.suffix}" if self.joined else f"{name}.{self.suffix}"

    def labels(self, name: str) -> str:
        """The file that holds the labels of an image, below the folder of the results.

        Args:
            name: Of the image's results.
        """
        return next(iter(self.whole)) if self.joined else self.own(name)

    def join(self, folder: Path, own: Iterable[Path], meaning: Meaning) -> None:
        """Write the files on the whole folder, if the format has any.

        Args:
            folder: Of the results.
            own: The file of each image, in order.
            meaning: Of the labels.

        Raises:
            InputError: A file cannot be written, or is not what this class wrote.
        """
        files = list(own)

        def parts() -> Iterator[Part]:
            yield from map(_read, files)

        for name, text in self.whole.items():
            pieces = (piece.encode("utf-8", "replace") for piece in text(parts, meaning))
            write_atomically(folder / name, pieces)


def _read(path: Path) -> Part:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged: label the images again without --resume")
    return found


def to_json(value: Any) -> bytes:
    """Encode JSON types, close together.

    Args:
        value: What is encoded.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_npz(**arrays: NDArray[Any]) -> bytes:
    """Encode arrays as a compressed .npz.

    Args:
        arrays: By their names in the file.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _of(name: str) -> Any:
    """The writers of a format; a plain mask needs none of them."""
    return importlib.import_module(f"{__name__}.{name}")


def _make(name: str, function: str, parts: Parts, meaning: Meaning) -> Iterator[str]:
    yield from getattr(_of(name), function)(parts, meaning)


def _per_image(suffix: str, encode: Callable[[Labelled], bytes]) -> MaskForm:
    return MaskForm(suffix, encode, {})


def _on_folder(name: str, **whole: str) -> MaskForm:
    """A format whose files on the whole folder are made by these functions of its writers."""
    files = {file: partial(_make, name, function) for function, file in whole.items()}
    return MaskForm(name, lambda one: to_json(_of(name).part(one)), files, joined=True)


FORMATS: dict[MaskFormat, MaskForm] = {
    "png": _per_image("png", lambda one: encode_mask(one.mask, one.meaning.palette)),
    "npz": _per_image("npz", lambda one: as_npz(labels=one.mask)),
    "coco": _on_folder("coco", document="annotations.json"),
    "rle": _per_image("json", lambda one: to_json(_of("rle").named(one))),
    "geojson": _per_image("geojson", lambda one: to_json(_of("geojson").features(one))),
    "labelstudio": _on_folder("labelstudio", tasks="tasks.json", interface="interface.xml"),
    "cvat": _on_folder("cvat", document="annotations.xml"),
    "yolo": MaskForm("txt", lambda one: _of("yolo").lines(one).encode(), {"data.yaml": partial(_make, "yolo", "data")}),
}
"""By the name in ``--format``."""


def find(name: str) -> MaskForm:
    """Return a format.

    Args:
        name: As in ``--format``.

    Raises:
        InputError: There is none of this name.
    """
    for known, form in FORMATS.items():
        if known == name:
            return form
    raise InputError(f"there is no format {name!r:.80}: expected {', '.join(FORMATS)}")
