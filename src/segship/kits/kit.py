"""kit.json: what a kit holds, with the digest of every file, and what the network itself answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.core.files import digest, file_inside
from segship.core.kits import KIT, holds_kit
from segship.core.manifest import Manifest, seal
from segship.core.plan import newer_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["EXPECTED", "KIT", "Expected", "Kit", "KitInput", "holds_kit", "is_kit", "read_kit", "signature"]

EXPECTED = "expected.npz"
_VERSION = 1
_MOST = 64 * 2**20  # bytes of kit.json: a hundred thousand inputs have 30 MB
_FIELDS = 4  # along each side


@dataclass(frozen=True)
class KitInput:
    """One packed input.

    Attributes:
        file: Below the kit's folder, as ``inputs/00003.bin``.
        image: What it was made of.
        size: (height, width) of the tensor.
        check: Whether the network's own scores for it are in the kit; they are of inputs that no data set brought.
    """

    file: str
    image: str
    size: tuple[int, int]
    check: bool

    @property
    def stem(self) -> str:
        """The name of its file without suffix, by which its output is found."""
        return Path(self.file).stem


@dataclass(frozen=True)
class Kit:
    """The content of ``kit.json``.

    Attributes:
        folder: Where it lies.
        manifest: Of the package that will be made, with the ONNX file in the place of the engine.
        inputs: In the order in which they were packed.
        images: Number of images of the data set; 0: none was given.
        labelled: How many of them have a label map.
        matrix: Confusion matrix of the network itself over them; None: no label maps.
        files: Size and SHA-256 of each file of the kit.
        dataset: Name of the data set; empty: not known.
    """

    folder: Path
    manifest: Manifest
    inputs: tuple[KitInput, ...]
    images: int = 0
    labelled: int = 0
    matrix: tuple[tuple[int, ...], ...] | None = None
    files: Mapping[str, Mapping[str, Any]] | None = None
    dataset: str = ""

    def write(self) -> None:
        """Write ``kit.json`` with the digests of all files that lie in the folder by now."""
        files = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name != KIT:
                found = digest(path)
                files[path.relative_to(self.folder).as_posix()] = {"size": found.size, "sha256": found.sha256}
        record = {
            "schema_version": _VERSION,
            "package": self.manifest.model_dump(mode="json"),
            "inputs": [asdict(each) for each in self.inputs],
            "dataset": self.dataset,
            "images": self.images,
            "labelled": self.labelled,
            "matrix": self.matrix,
            "files": files,
        }
        (self.folder / KIT).write_bytes(_sealed(record))

    def check_files(self) -> None:
        """Hold every file of the kit against its digest; packed inputs may have been taken away.

        Raises:
            InputError: A file is missing or was changed.
        """
        for name, expected in (self.files or {}).items():
            away = name.startswith(("inputs/", "calibration/")) and name.endswith((".bin", ".npy", ".raw"))
            if away and not (self.folder / name).exists():
                continue
            path = file_inside(self.folder, name)
            found = digest(path)
            if (found.size, found.sha256) != (expected["size"], expected["sha256"]):
                raise InputError(
                    f"{path} was changed since the kit was written ({found.size} bytes, SHA-256 {found.sha256[:12]}…, "
                    f"expected {expected['size']} bytes, {str(expected['sha256'])[:12]}…): write the kit again"
                )


@dataclass(frozen=True)
class Expected:
    """What the network itself answers to the inputs.

    Attributes:
        signatures: float32 (inputs, 16 K), the means of each output, by which it is known; see `signature`.
        labels: Labels (h, w) of each input at the size of its scores.
        logits: float32 (1, K, h, w) of each input that is a check, by name.
    """

    signatures: NDArray[np.float32]
    labels: tuple[NDArray[Any], ...]
    logits: Mapping[str, NDArray[np.float32]]

    def write(self, folder: Path) -> None:
        """Write ``expected.npz``."""
        arrays: dict[str, NDArray[Any]] = {"signatures": self.signatures}
        arrays |= {f"labels_{number}": each for number, each in enumerate(self.labels)}
        arrays |= {f"logits_{name}": each for name, each in self.logits.items()}
        np.savez_compressed(folder / EXPECTED, **arrays)  # type: ignore[arg-type]  # names never are allow_pickle

    @classmethod
    def read(cls, kit: Kit) -> Expected:
        """Read ``expected.npz``, whose digest has been checked."""
        with np.load(kit.folder / EXPECTED, allow_pickle=False) as stored:
            labels = tuple(stored[f"labels_{number}"] for number in range(len(kit.inputs)))
            logits = {each.stem: stored[f"logits_{each.stem}"] for each in kit.inputs if each.check}
            return cls(stored["signatures"], labels, logits)


def signature(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average an output over a grid of 4 x 4 fields, so that outputs of different images can be told apart.

    Args:
        logits: float32 (1, K, h, w).

    Returns:
        float32 (16 K,), of the scale of the output's own values.
    """
    values, counts = np.asarray(logits[0], np.float64), []
    for axis in (1, 2):
        length = values.shape[axis]
        edges = np.arange(_FIELDS) * length // _FIELDS  # of fewer cells than fields, some are taken twice
        values = np.add.reduceat(values, edges, axis)
        counts.append(np.maximum(np.diff(np.append(edges, length)), 1))
    return np.ravel(values / (counts[0][:, None] * counts[1])).astype(np.float32)


def _sealed(record: Mapping[str, Any]) -> bytes:
    return seal(json.dumps(record, indent=1, ensure_ascii=False))


def read_kit(folder: Path) -> Kit:
    """Read and check ``kit.json``.

    Raises:
        InputError: There is none, or it was changed or is newer than this version.
    """
    path = folder / KIT
    if not path.is_file():
        raise InputError(f"{folder} is no kit: it holds no {KIT}; segship export … --kit FOLDER writes one")
    if path.stat().st_size > _MOST:
        raise InputError(f"{path} is larger than {_MOST} bytes: not a kit's")
    raw = path.read_bytes()
    try:
        data = json.loads(raw.decode("utf-8"))
        record = {key: value for key, value in data.items() if key != "digest"}
    except (ValueError, RecursionError, AttributeError):
        raise InputError(f"{path} is damaged: write the kit again") from None
    if newer := newer_version(data):
        raise InputError(f"{path} {newer}")
    if _sealed(record) != raw:
        raise InputError(f"{path} was changed: its digest does not fit; write the kit again")
    try:
        inputs = tuple(KitInput(**(each | {"size": tuple(each["size"])})) for each in record["inputs"])
        matrix = None if record["matrix"] is None else tuple(map(tuple, record["matrix"]))
        return Kit(
            folder,
            Manifest.model_validate(record["package"]),
            inputs,
            record["images"],
            record["labelled"],
            matrix,
            record["files"],
            str(record.get("dataset", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not valid ({error}): write the kit again") from None


def is_kit(folder: Path) -> bool:
    """Return whether ``folder`` is a kit, which a newer one may replace: all but results and engines are its own."""
    try:
        kit = read_kit(folder)
    except InputError:
        return False
    own = {KIT, *(kit.files or {})}
    return all(path.relative_to(folder).as_posix() in own for path in folder.rglob("*") if path.is_file())
