"""manifest.json: everything a package needs to be run, and the figures that prove it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import PackageError
from segship.core.files import FileDigest, digest
from segship.core.spec import Frozen, ModelSpec, SizeRule
from segship.core.target import Target

__all__ = [
    "MANIFEST",
    "METADATA",
    "SCHEMA_VERSION",
    "Accuracy",
    "Check",
    "Described",
    "Embedded",
    "Manifest",
    "Quantization",
    "read_manifest",
]

MANIFEST = "manifest.json"
METADATA = "segship"
"""Key under which an engine's own file carries `Described` as JSON, so that the lone file can be understood."""

Embedded: TypeAlias = Literal["pre", "post"]

SCHEMA_VERSION = 1
_MAXIMUM_BYTES = 16 * 2**20


class Check(Frozen):
    """One comparison of the engine with the original network.

    Attributes:
        input: Shape of the input (N, C, H, W).
        image: What was fed: the name of an image, or ``"scene"`` for a bundled one.
        labels_equal: Share of pixels whose label is the same, 0-1.
        max_difference, mean_difference: Of the logits, divided by the greatest magnitude of the original's.
        classes: For each class that the original finds, the share of its pixels that the engine labels so, too.
    """

    input: tuple[int, int, int, int]
    image: str
    labels_equal: float
    max_difference: float
    mean_difference: float
    classes: dict[str, float] = {}


class Accuracy(Frozen):
    """IoU over labelled images, in percent.

    Attributes:
        mIoU: Mean over the classes that occur.
        IoU: Of each class that occurs, by name.
    """

    mIoU: float
    IoU: dict[str, float]


class Quantization(Frozen):
    """The settings that an int8 engine was made with, and its cost in accuracy.

    Attributes:
        images: Number of images it was calibrated on.
        labelled: How many of them have labels.
        layers: Number of layers that can be quantised.
        kept: Names of those that stayed in floating point so that the gate holds.
        slowdown: Time of the engine as a multiple of the time with no layer kept; None where none is.
        before, after: Accuracy of the original network and of the engine, where there are labels.
        agreement: Share of the pixels of the images whose label is the original's, 0-1.
    """

    images: int
    labelled: int
    layers: int
    kept: tuple[str, ...] = ()
    slowdown: float | None = None
    before: Accuracy | None = None
    after: Accuracy | None = None
    agreement: float | None = None


class Described(Frozen):
    """The spec that is embedded in an engine's own file.

    Attributes:
        schema_version: Version of this format.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        target: Engine, precision and shape it was made for; None: not said.
        embed: What of the work on images the file does itself.
    """

    schema_version: int = SCHEMA_VERSION
    spec: ModelSpec
    sizes: SizeRule = SizeRule()
    target: Target | None = None
    embed: tuple[Embedded, ...] = ()


class Manifest(Frozen):
    """The content of a package's ``manifest.json``.

    Attributes:
        schema_version: Version of this format.
        spec: What the network expects and means.
        target: Engine, precision and shape.
        inputs, outputs: Of the engine.
        sizes: Which input sizes the network takes.
        embed: What of the work on images the engine does itself: ``"pre"``, it takes uint8 (H, W, 3) RGB of any size;
            ``"post"``, it returns labels.
        files: Digest of each engine file; the first is the one to open.
        options: What the backend wants to remember.
        checks: The comparison with the original network.
        quantization: How int8 was made; None for other precisions.
        failures: The gates this package did not pass, in words; it was written because that was asked for.
        origin: File name and digest of the config and the checkpoint.
        versions: Version of each tool that took part.
        notes: What a user should know, in sentences.
    """

    schema_version: int = SCHEMA_VERSION
    spec: ModelSpec
    target: Target
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    sizes: SizeRule = SizeRule()
    embed: tuple[Embedded, ...] = ()
    files: dict[str, FileDigest]
    options: dict[str, Any] = {}
    checks: tuple[Check, ...] = ()
    quantization: Quantization | None = None
    failures: tuple[str, ...] = ()
    origin: dict[str, FileDigest] = {}
    versions: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    def write(self, directory: Path) -> None:
        """Write ``manifest.json``.

        Args:
            directory: The package's folder.
        """
        (directory / MANIFEST).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def engine(self, directory: Path) -> Engine:
        """Describe the engine, as its backend opens it.

        Args:
            directory: Where its files lie.

        Returns:
            Its files, inputs and outputs.
        """
        return Engine(directory, tuple(self.files), self.inputs, self.outputs, self.options)


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest and the digest of every file of the package at ``directory``.

    Raises:
        PackageError: It is not a package, is newer than this version, or was damaged.
    """
    manifest = _parse(directory)
    for name, expected in manifest.files.items():
        _check_file(directory, name, expected)
    return manifest


def _parse(directory: Path) -> Manifest:
    path = directory / MANIFEST
    if not directory.is_dir():
        raise PackageError(f"{directory} is not a package: no such directory")
    if not path.is_file():
        raise PackageError(f"{directory} is not a package: it holds no {MANIFEST}")
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise PackageError(f"{path} is larger than {_MAXIMUM_BYTES} bytes: not a manifest")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.get("schema_version")
    except (ValueError, RecursionError, AttributeError) as error:
        raise PackageError(f"{path} is not JSON ({error}): the package is damaged, export it again") from None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise PackageError(
            f"{directory} has schema version {version}, this Segship reads up to {SCHEMA_VERSION}: "
            "pip install -U segship"
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PackageError(f"{path} is not valid at {where!r} ({first['msg']}): export the package again") from None


def _check_file(directory: Path, name: str, expected: FileDigest) -> None:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name:
        raise PackageError(f"{directory} names a file outside itself ({name!r}): do not use this package")
    path = directory / inside
    if not path.is_file():
        raise PackageError(f"{directory} is incomplete: {name} is missing; export it again")
    found = digest(path)
    if found != expected:
        raise PackageError(
            f"{path} was changed: {found.size} bytes, SHA-256 {found.sha256[:12]}…, "
            f"expected {expected.size} bytes, {expected.sha256[:12]}…; export the package again"
        )
