"""manifest.json: everything a package needs to be run, and the figures that prove it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import PackageError, validation_line
from segship.core.files import FileDigest, digest, file_inside, holds_only
from segship.core.plan import EmbeddedSpec, newer_version
from segship.core.provenance import Provenance
from segship.core.spec import Frozen
from segship.core.target import Target

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "Accuracy", "Comparison", "Manifest", "Quantization", "is_package", "read_manifest"]

MANIFEST = "manifest.json"
_MAXIMUM_BYTES = 16 * 2**20


class Comparison(Frozen):
    """One input, computed by a reference and by a candidate.

    Attributes:
        input: Shape of the input (N, C, H, W).
        image: What was fed: the name of an image, or ``"scene"`` for a bundled one.
        labels_equal: Share of pixels whose label is the same, 0-1; pixels between whose labels the reference itself is
            undecided within float32 noise count as the same.
        max_difference, mean_difference: Of the logits, divided by the greatest magnitude of the reference's; 0 where
            labels were compared.
        classes: For each class that the reference finds, the share of its pixels that the candidate labels so, too.
        pixels: Number of labels that were compared. This and what follows stays out of manifests.
        pixels_differ: How many of them are not the same, undecided or not.
        greatest: Greatest magnitude of the reference's logits.
        has_logits: Whether logits were compared, rather than labels alone.
    """

    input: tuple[int, int, int, int]
    image: str
    labels_equal: float
    max_difference: float = 0.0
    mean_difference: float = 0.0
    classes: dict[str, float] = {}
    pixels: int = Field(default=0, exclude=True)
    pixels_differ: int = Field(default=0, exclude=True)
    greatest: float = Field(default=0.0, exclude=True)
    has_logits: bool = Field(default=True, exclude=True)


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


class Manifest(EmbeddedSpec):
    """The content of a package's ``manifest.json``.

    Attributes:
        schema_version, spec, sizes: As `segship.core.plan.NetworkSpec`.
        embed: As `segship.core.plan.EmbeddedSpec`.
        target: Engine, precision and shape.
        inputs, outputs: Of the engine.
        files: Digest of each engine file; the first is the one to open.
        options: What the backend wants to remember.
        checks: The comparison with the original network.
        quantization: How int8 was made; None for other precisions.
        failures: The gates this package did not pass, in words; it was written because that was asked for.
        origin: File name and digest of the config and the checkpoint.
        provenance: From where each value of ``spec`` was read, and what was assumed; None: not known.
        versions: Version of each tool that took part.
        notes: What a user should know, in sentences.
    """

    target: Target
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    files: dict[str, FileDigest]
    options: dict[str, Any] = {}
    checks: tuple[Comparison, ...] = ()
    quantization: Quantization | None = None
    failures: tuple[str, ...] = ()
    origin: dict[str, FileDigest] = {}
    provenance: Provenance | None = None
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


def is_package(directory: Path) -> bool:
    """Return whether ``directory`` is a package and nothing else: a manifest, and only files that it lists.

    Args:
        directory: A folder. No digest is checked, so that a damaged package is one, too.
    """
    try:
        return holds_only(directory, {MANIFEST, *_parse(directory).files})
    except PackageError:
        return False


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
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is not JSON ({error}): the package is damaged, export it again") from None
    if newer := newer_version(data):
        raise PackageError(f"{directory} {newer}")
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise PackageError(f"{path} is not valid: {validation_line(error)}; export the package again") from None


def _check_file(directory: Path, name: str, expected: FileDigest) -> None:
    path = file_inside(directory, name)
    found = digest(path)
    if found != expected:
        raise PackageError(
            f"{path} was changed: {found.size} bytes, SHA-256 {found.sha256[:12]}…, "
            f"expected {expected.size} bytes, {expected.sha256[:12]}…; export the package again"
        )
