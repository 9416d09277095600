"""manifest.json: everything a package needs to be run, and the figures that prove it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from segship.core.artifacts import Engine, TensorInfo
from segship.core.augmentation import Augmentation
from segship.core.calibration import Calibration
from segship.core.comparison import Comparison, undefined
from segship.core.errors import PackageError, validation_line
from segship.core.files import FileDigest, Sha256, holds_only
from segship.core.frozen import Count, Finite, Frozen, Name, Positive, Share, Words
from segship.core.mistakes import ValidationError
from segship.core.package_files import require_listed, require_unchanged
from segship.core.plan import EmbeddedSpec, newer_version
from segship.core.processor import Processor
from segship.core.provenance import Provenance
from segship.core.spec import MOST_CLASSES
from segship.core.target import Target
from segship.core.validation import After, Before, Bound

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MANIFEST",
    "Accuracy",
    "Adoption",
    "ChipResult",
    "Comparison",
    "Figures",
    "Manifest",
    "Quantization",
    "State",
    "Tuned",
    "is_package",
    "read_manifest",
    "seal",
]

MANIFEST = "manifest.json"
_MAXIMUM_BYTES = 16 * 2**20  # thousand checks of a network of 150 classes have 5 MB
_MOST_RECORDS, _MOST_VALUES = 20_000, 1_000_000  # in one manifest, which bounds the memory that reading it takes
_FEW, _SOME, _MANY = 64, 1000, 10_000
_BUILT = "built, not verified here"
_IMAGE_AXES, _TENSOR_AXES, _MASK_AXES = 3, 4, 2
_SEAL = re.compile(rb'  "digest": "([0-9a-f]{64})"\n\}\n\Z')


def _require_small(options: dict[str, Any]) -> dict[str, Any]:
    """What backends note is a few numbers and words."""
    if len(json.dumps(options, default=str)) > _MANY:
        raise ValueError(f"it is longer than {_MANY} characters")
    return options


def _require_percent(value: float) -> float:
    if not (value != value or 0 <= value <= 100):  # noqa: PLR0124, PLR2004  (only NaN differs from itself)
        raise ValueError("it is within 0-100")
    return value


Percent = Annotated[float, Bound(finite=True, ge=0, le=100)]
Mean = Annotated[float, Before(undefined), After(_require_percent)]
"""0-100; NaN: nothing was there to count, null in JSON."""


State = Literal["verified on the engine", "verified on the vendor's simulator", "built, not verified here"]
"""What is known of a package: a gate it did not pass leaves it not verified."""


class Accuracy(Frozen):
    """IoU over labelled images, in percent.

    Attributes:
        mIoU: Mean over the classes that occur; NaN where none does.
        IoU: Of each class that occurs, by name.
    """

    mIoU: Mean
    IoU: Annotated[dict[Name, Percent], Bound(most=MOST_CLASSES)]


class Quantization(Frozen):
    """The settings that an engine of a reduced precision was made with, and its cost in accuracy.

    Attributes:
        images: Number of images it was calibrated or judged on.
        labelled: How many of them have labels.
        layers: Number of layers that can be in that precision.
        kept: Names of those that stayed in floating point so that the gate holds.
        unpaid: Names of layers that stayed in floating point because the precision makes them slower there and then.
        worth: Time with all other layers in the precision as a multiple of the time with none; None where not measured.
        slowdown: Time of the engine as a multiple of the time with no layer kept; None where none is.
        before, after: Accuracy of the original network and of the engine, where there are labels.
        agreement: Share of the pixels of the images whose label is the original's, 0-1.
    """

    images: Count
    labelled: Count
    layers: Count
    kept: Annotated[tuple[Words, ...], Bound(most=_MANY)] = ()
    unpaid: Annotated[tuple[Words, ...], Bound(most=_MANY)] = ()
    worth: Annotated[Finite, Bound(gt=0)] | None = None
    slowdown: Annotated[Finite, Bound(gt=0)] | None = None
    before: Accuracy | None = None
    after: Accuracy | None = None
    agreement: Share | None = None


class Tuned(Frozen):
    """The machine that a package was tuned for.

    Attributes:
        processor: Its kind.
        processors: How many of them it had.
        threads: The ones that the engine was fastest with; None: its own choice.
        versions: Of the engine's distributions.
        milliseconds: From a decoded image to its mask.
    """

    processor: Processor
    processors: Count
    threads: Positive | None = None
    versions: Annotated[dict[Name, Words], Bound(most=_SOME)] = {}
    milliseconds: Finite


class Figures(Frozen):
    """Figures over labelled images, in percent; NaN where nothing was there to count."""

    aAcc: Mean
    mIoU: Mean
    mAcc: Mean


class ChipResult(Frozen):
    """What a chip returned for one number of images at once.

    Attributes:
        batch: Images at once.
        figures: Its accuracy; None: its outputs were not brought back, or there are no label maps.
        images_per_second: As the vendor's tool told it; None: it was not timed.
    """

    batch: Positive
    figures: Figures | None = None
    images_per_second: Annotated[Finite, Bound(gt=0)] | None = None


class Adoption(Frozen):
    """What is known of an engine that was built and run elsewhere, by the outputs that were brought back.

    Attributes:
        kit: SHA-256 of the kit's record.
        sealed: Whether the outputs came with digests that fit.
        inputs: How many inputs the chip ran.
        images: How many labelled images the figures are over.
        dataset: Name of the data set that they are of; empty: not known.
        agreement: Least share of labels, 0-1, that the chip and the network have in common.
        network: Accuracy of the network itself on the same images.
        results: What it returned, by the number of images at once.
    """

    kit: Sha256
    sealed: bool
    inputs: Count
    images: Count
    dataset: Words = ""
    agreement: Share
    network: Figures | None = None
    results: Annotated[tuple[ChipResult, ...], Bound(most=_SOME)] = ()


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
        quantization: How int8 was made, or which layers of fp16 or bf16 stay in float32; None where there is nothing
            to say.
        failures: The gates this package did not pass, in words; it was written because that was asked for.
        origin: File name and digest of the config and the checkpoint.
        provenance: From where each value of ``spec`` was read, and what was assumed; None: not known.
        versions: Version of each tool that took part.
        notes: What a user should know, in sentences.
        state: What ran the comparison; None in manifests of earlier versions (`standing` tells it of every one).
        simulator: Name and version of the vendor's simulator that ran it, where one did.
        tta: The test-time augmentation of the network's config; None: not known.
        tuned: The machine that it was tuned for, and the threads that are its default there; None where it was not.
        adopted: What a chip elsewhere returned, where the package was made of that; None: it was not.
        calibration: The temperatures that the package's scores are divided by, and how reliable they are; None: scores
            are the network's own.
        digest: SHA-256 of all bytes of the file before the line that holds it, which is the last but one; None in
            manifests of version 1, of which no change is noticed.
    """

    target: Target
    inputs: Annotated[tuple[TensorInfo, ...], Bound(least=1, most=_FEW)]
    outputs: Annotated[tuple[TensorInfo, ...], Bound(least=1, most=_FEW)]
    files: Annotated[dict[str, FileDigest], Bound(least=1, most=_SOME)]
    options: Annotated[dict[Name, Any], Bound(most=_FEW), After(_require_small)] = {}
    checks: Annotated[tuple[Comparison, ...], Bound(most=_MANY)] = ()
    quantization: Quantization | None = None
    failures: Annotated[tuple[Words, ...], Bound(most=_MANY)] = ()
    origin: Annotated[dict[Words, FileDigest], Bound(most=_SOME)] = {}
    provenance: Provenance | None = None
    versions: Annotated[dict[Name, Words], Bound(most=_SOME)] = {}
    notes: Annotated[tuple[Words, ...], Bound(most=_SOME)] = ()
    state: State | None = None
    simulator: Words | None = None
    tta: Augmentation | None = None
    tuned: Tuned | None = None
    adopted: Adoption | None = None
    calibration: Calibration | None = None
    digest: Sha256 | None = None

    def _require_consistent(self) -> None:
        """The ports have the axes that images and masks have, and as many scores as there are classes."""
        image, output = self.inputs[0], self.outputs[0]
        axes = _IMAGE_AXES if "pre" in self.embed else _TENSOR_AXES
        if len(image.shape) != axes:
            raise ValueError(f"the engine's input has {len(image.shape)} axes, expected {axes}")
        if not _MASK_AXES <= len(output.shape) <= _TENSOR_AXES:
            raise ValueError(f"the engine's output has {len(output.shape)} axes, expected scores (N, classes, h, w)")
        scores = 1 if self.spec.output == "sigmoid" else len(self.spec.classes)
        every = scores * (1 if self.spec.slide is None else self.spec.slide.members)
        found = output.shape[1] if len(output.shape) == _TENSOR_AXES else every
        if not output.is_whole and "post" not in self.embed and isinstance(found, int) and found != every:
            raise ValueError(f"the engine returns {found} scores for each pixel, and there are {every} of classes")
        if self.calibration is not None and len(self.calibration.temperatures) not in {1, scores}:
            given = len(self.calibration.temperatures)
            raise ValueError(f"there are {given} temperatures, expected one, or one for each of {scores} scores")

    def _omitted(self) -> tuple[str, ...]:
        return tuple(name for name in ("tuned", "calibration") if getattr(self, name) is None)

    @property
    def standing(self) -> str:
        """The state in words, with the simulator's name; of earlier versions it is told by their comparisons."""
        state = self.state or ("verified on the engine" if self.checks and not self.failures else _BUILT)
        if self.adopted is not None and self.state == "verified on the engine":
            return f"{state}, by what it returned elsewhere"
        return f"{state} ({self.simulator})" if self.simulator else state

    def write(self, directory: Path) -> Manifest:
        """Write ``manifest.json``.

        Args:
            directory: The package's folder.

        Returns:
            The manifest as it will be read: with its digest, without what stays out of files.
        """
        text = self.model_copy(update={"digest": None}).model_dump_json(indent=2, exclude={"digest"})
        raw = seal(text)
        (directory / MANIFEST).write_bytes(raw)
        return Manifest.model_validate_json(raw)

    def engine(self, directory: Path, *, cache: bool = False) -> Engine:
        """Describe the engine, as its backend opens it.

        Args:
            directory: Where its files lie.
            cache: Let the backend keep what it compiles of them for later starts.

        Returns:
            Its files, inputs and outputs.
        """
        told = json.dumps({name: file.sha256 for name, file in self.files.items()})
        digests = hashlib.sha256(told.encode()).hexdigest() if cache else ""
        return Engine(directory, tuple(self.files), self.inputs, self.outputs, self.options, digests)


def seal(text: str) -> bytes:
    """Return the bytes of a manifest with the digest of itself, which notices every other byte.

    Args:
        text: A JSON object over several lines, without a digest.
    """
    before = text.removesuffix("\n}").encode() + b",\n"
    return before + f'  "digest": "{hashlib.sha256(before).hexdigest()}"\n}}\n'.encode()


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest, its digest and the digest of every file of the package at ``directory``.

    Raises:
        PackageError: It is not a package, is newer than this version, or was damaged.
    """
    manifest = _parse(directory, sealed=True)
    for name, expected in manifest.files.items():
        require_unchanged(directory, name, expected)
    require_listed(directory, manifest.files, MANIFEST)
    return manifest


def is_package(directory: Path) -> bool:
    """Return whether ``directory`` is a package and nothing else: a manifest, and only files that it lists.

    Args:
        directory: A folder. No digest is checked, so that a damaged package is one, too.
    """
    try:
        return holds_only(directory, {MANIFEST, *_parse(directory, sealed=False).files})
    except PackageError:
        return False


def _parse(directory: Path, *, sealed: bool) -> Manifest:
    path = directory / MANIFEST
    raw = _read(directory, path)
    try:
        data = json.loads(raw.decode("utf-8"), parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is not JSON ({error}): the package is damaged, export it again") from None
    if newer := newer_version(data):
        raise PackageError(f"{directory} {newer}")
    if sealed:
        _check_seal(path, raw, data)
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise PackageError(f"{path} is not valid: {validation_line(error)}; export the package again") from None


def _read(directory: Path, path: Path) -> bytes:
    """The bytes of a manifest, of which neither the length nor what they hold can fill the memory."""
    if not directory.is_dir():
        raise PackageError(f"{directory} is not a package: no such directory")
    if not path.is_file():
        raise PackageError(f"{directory} is not a package: it holds no {MANIFEST}")
    with path.open("rb") as file:
        raw = file.read(_MAXIMUM_BYTES + 1)
    if len(raw) > _MAXIMUM_BYTES:
        raise PackageError(f"{path} is larger than {_MAXIMUM_BYTES} bytes: not a manifest")
    if raw.count(b"{") > _MOST_RECORDS or raw.count(b",") > _MOST_VALUES:
        raise PackageError(f"{path} holds more than {_MOST_RECORDS} records or {_MOST_VALUES} values: not a manifest")
    return raw


def _finite(text: str) -> float:
    """A number of JSON, which knows no ``NaN``, and of which no reader makes an infinity."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return value


def _check_seal(path: Path, raw: bytes, data: Any) -> None:
    """The digest of a manifest fits what stands before it; version 0.1 wrote none."""
    if isinstance(data, dict) and data.get("schema_version") == 1 and "digest" not in data:
        return
    found = _SEAL.search(raw)
    if found is None:
        raise PackageError(f"{path} was changed: it does not end in its digest; export the package again")
    if hashlib.sha256(raw[: found.start()]).hexdigest().encode() != found[1]:
        raise PackageError(f"{path} was changed: its digest does not fit; export the package again")
