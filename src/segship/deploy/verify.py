"""A package held against the network it was made of, on real images, at any time after its export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Session
from segship.core.errors import InputError
from segship.deploy.lower import Lowering
from segship.deploy.samples import find_scenes
from segship.deploy.ship import require_extra
from segship.runtime.package import find_package
from segship.runtime.pipeline import Pipeline
from segship.runtime.predict import output_names
from segship.sources import Source, as_source
from segship.verification.compare import GATES, Sample, compare, failures
from segship.vision.bands import read_pixels, synthesize_bands
from segship.vision.decode import find_images
from segship.vision.draw import write_png
from segship.vision.palette import colorize

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.manifest import Check, Manifest
    from segship.core.spec import ModelSpec
    from segship.sources import Loaded

__all__ = ["Compared", "Verification", "verify"]


@dataclass(frozen=True)
class Compared:
    """One image, seen by the network and by the package.

    Attributes:
        image: Name of the file, or ``scene`` for a bundled one.
        input: Shape of what the network is given (N, C, H, W).
        max_difference: Greatest difference of the logits, as they are; None where the package returns labels, or
            prepares images itself.
        greatest: Greatest magnitude of the network's logits.
        pixels: Of the image.
        pixels_differ: How many of them have another label.
    """

    image: str
    input: tuple[int, ...]
    max_difference: float | None
    greatest: float
    pixels: int
    pixels_differ: int


@dataclass(frozen=True)
class Verification:
    """What came of a comparison.

    Attributes:
        network: What the package was compared with.
        target: Engine of the package.
        images: Figures of each image.
        failures: What does not hold, in words; empty: the gate is passed.
    """

    network: str
    target: str
    images: tuple[Compared, ...]
    failures: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self) | {"passed": not self.failures}


def verify(
    source: Source | str | os.PathLike[str],
    package: str | os.PathLike[str],
    *,
    images: Sequence[str | Path] = (),
    to: str | Path | None = None,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Compare a package with the network it was made of.

    The network runs in the framework that reads it: Paddle Inference for PaddleSeg's folders, PyTorch for most others.

    Args:
        source: The network: a `segship.Source`, or the config, folder or file of one that brings its weights.
        package: What was exported; a folder that MMDeploy made, or the file of an engine, will do.
        images: Files or folders; none: the bundled scenes.
        to: Folder for two pictures of each image, ``NAME_network.png`` and ``NAME_package.png``; None: none.
        device: What the package runs on: ``cpu``, ``cuda:0``, …; None: ``cpu``, or the first device of an engine that
            does not run there. The network runs on the cpu.
        progress: Called with the name of each stage as it begins.

    Returns:
        The figures of each image, and what does not hold.

    Raises:
        SegshipError: Something cannot be read or run, or the two are of different networks.
    """
    tell = progress or (lambda _: None)
    given = as_source(source)
    require_extra()
    from segship.networks.session import EagerSession

    found = find_package(Path(package))
    manifest = found.manifest
    files = find_images([Path(image) for image in images]) if images else []
    engine = found.pipeline(device=device, trust=given.trust)
    tell("reading the network")
    loaded = given.load()
    _require_kin(loaded, manifest)
    network = Pipeline(EagerSession(loaded.network), manifest.spec, manifest.sizes)
    pair = _Pair(network, engine, manifest.spec, Path(to) if to is not None else None)
    compared, checks = [], []
    for name, pixels in _pictures(files, manifest.spec):
        tell(f"comparing {name}")
        figures, check = pair.compare(name, pixels)
        compared.append(figures)
        checks.append(check)
    failed = _judge(compared, checks, manifest.target.precision)
    title = f"{loaded.spec.architecture} ({loaded.spec.source})"
    return Verification(title, str(manifest.target), tuple(compared), tuple(failed))


def _pictures(files: Sequence[Path], spec: ModelSpec) -> Iterator[tuple[str, NDArray[Any]]]:
    """A distinct name and the pixels of each image."""
    if not files:
        for number, scene in enumerate(find_scenes()):
            yield f"scene-{number}", synthesize_bands(scene, spec)
    for name, file in zip(output_names(files), files, strict=True):
        yield name, read_pixels(file, spec)


class _Pair:
    """The network and the package, for the same input."""

    def __init__(self, network: Pipeline, package: Pipeline, spec: ModelSpec, to: Path | None) -> None:
        self._network, self._package, self._spec, self._to = network, package, spec, to

    def compare(self, name: str, pixels: NDArray[Any]) -> tuple[Compared, Check | None]:
        """Figures of one image, the second where the package returns logits; its pictures are written."""
        prepared, given = (who.prepare(pixels, "bgr") for who in (self._network, self._package))
        logits, output = self._network.infer(prepared), self._package.infer(given)
        ours, theirs = self._network.decide(logits, prepared), self._package.decide(output, given)
        check = None
        if prepared.tensor.dtype == given.tensor.dtype and output.dtype.kind == "f":
            (check,) = compare([Sample(name, prepared.tensor, logits)], _Known(output), self._spec)
        if self._to is not None:
            for who, mask in (("network", ours), ("package", theirs)):
                write_png(self._to / f"{name}_{who}.png", colorize(mask, self._spec.palette))
        compared = Compared(
            image=name,
            input=prepared.tensor.shape,
            max_difference=None if check is None else float(np.abs(logits - output).max()),
            greatest=float(np.abs(logits).max()),
            pixels=ours.size,
            pixels_differ=int((ours != theirs).sum()),
        )
        return compared, check


class _Known(Session):
    """A session whose answer is there already."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits = logits

    def run(self, _: Any) -> dict[str, NDArray[np.float32]]:
        return {"logits": self._logits}


def _require_kin(loaded: Loaded, manifest: Manifest) -> None:
    ours, theirs = loaded.spec, manifest.spec
    if (len(ours.classes), ours.channels) != (len(theirs.classes), theirs.channels):
        raise InputError(
            f"the package was made of a network of {theirs.channels} channels and {len(theirs.classes)} classes, "
            f"this one has {ours.channels} and {len(ours.classes)}"
        )


def _judge(compared: Sequence[Compared], checks: Sequence[Check | None], precision: str) -> list[str]:
    """The gate of an export where there are logits; for int8 and for labels, the share of the masks' pixels."""
    known = [check for check in checks if check is not None]
    failed = failures(known, precision) if known else []
    gate = Lowering().agreement if precision == "int8" else GATES.get(precision, 0.0)
    if (precision == "int8" or not known) and not failed:
        equal = 1 - sum(each.pixels_differ for each in compared) / sum(each.pixels for each in compared)
        failed += [f"{precision}: {equal:.3%} of the pixels keep their label (gate {gate:.2%})"] if equal < gate else []
    return failed
