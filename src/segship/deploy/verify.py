"""A package held against the network it was made of, on real images, at any time after its export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.core.files import require_apart
from segship.deploy.exact import Doubtful, explained, is_doubtful, with_exactness
from segship.deploy.requirements import require_extra
from segship.runtime.package import find_package
from segship.runtime.pipeline import Pipeline
from segship.runtime.result_names import output_names
from segship.sources import Source, as_source
from segship.verification.compare import Reference, compare, compare_labels
from segship.verification.gates import failures, mask_failures
from segship.verification.inputs import find_scenes
from segship.vision.bands import read_pixels, synthesize_bands
from segship.vision.draw import write_png
from segship.vision.image_files import find_images
from segship.vision.palette import colorize

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.manifest import Comparison, Manifest
    from segship.core.spec import ModelSpec
    from segship.networks.network import Network
    from segship.sources import Loaded

__all__ = ["Verification", "verify"]

_WHO = ("network", "package")  # in the names of masks


@dataclass(frozen=True)
class Verification:
    """The result of a comparison.

    Attributes:
        network: What the package was compared with.
        target: Engine of the package.
        images: The comparison of each image: its pixels are those of the masks; its shares are those of the logits
            where the package returns them and prepares images as the network does, else those of the masks.
        failures: What does not hold, in words; empty: the gate is passed.
    """

    network: str
    target: str
    images: tuple[Comparison, ...]
    failures: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON types; differences of logits are as they are, not relative."""
        return {
            "network": self.network,
            "target": self.target,
            "images": [_figures(each) for each in self.images],
            "failures": self.failures,
            "passed": not self.failures,
        }


def _figures(found: Comparison) -> dict[str, Any]:
    return {
        "image": found.image,
        "input": found.input,
        "max_difference": found.max_difference * found.greatest if found.has_logits else None,
        "greatest": found.greatest,
        "pixels": found.pixels,
        "pixels_differ": found.pixels_differ,
    }


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

    found = find_package(Path(package))
    manifest = found.manifest
    files = find_images([Path(image) for image in images]) if images else []
    folder = Path(to) if to is not None else None
    if folder is not None:
        require_apart((folder / f"{name}_{who}.png" for name in output_names(files) for who in _WHO), files)
    engine = found.pipeline(device=device, trust=given.trust)
    tell("reading the network")
    loaded = given.load()
    _require_same_network(loaded, manifest)
    pair = _Candidates(loaded.network, engine, manifest, folder)
    compared = []
    for name, pixels in _pictures(files, manifest.spec):
        tell(f"comparing {name}")
        compared.append(pair.compare(name, pixels))
    failed = explained(_judge(compared, manifest.target.precision), pair.undecided)
    title = f"{loaded.spec.architecture} ({loaded.spec.source})"
    return Verification(title, str(manifest.target), tuple(compared), tuple(failed))


def _pictures(files: Sequence[Path], spec: ModelSpec) -> Iterator[tuple[str, NDArray[Any]]]:
    """A distinct name and the pixels of each image."""
    if not files:
        for number, scene in enumerate(find_scenes()):
            yield f"scene-{number}", synthesize_bands(scene, spec)
    for name, file in zip(output_names(files), files, strict=True):
        yield name, read_pixels(file, spec)


class _Candidates:
    """The network and the package, for the same input.

    Attributes:
        undecided: Why float64 did not decide where fp32 misses its gate; empty: it did, or need not.
    """

    def __init__(self, network: Network, package: Pipeline, manifest: Manifest, to: Path | None) -> None:
        from segship.networks.session import EagerSession

        self._original, self._package, self._to = network, package, to
        self._spec, self._sizes, self._precision = manifest.spec, manifest.sizes, manifest.target.precision
        self._network = self._pipeline(EagerSession(network))
        self.undecided = ""

    def _pipeline(self, session: Session) -> Pipeline:
        return Pipeline(session, self._spec, self._sizes)

    def compare(self, name: str, pixels: NDArray[Any]) -> Comparison:
        """Compare logits where both have them, and the masks; write both masks as pictures."""
        prepared, given = (who.prepare(pixels, "bgr") for who in (self._network, self._package))
        logits, output = self._network.infer(prepared), self._package.infer(given)
        ours, theirs = self._network.decide(logits, prepared), self._package.decide(output, given)
        if self._to is not None:
            for who, mask in zip(_WHO, (ours, theirs), strict=True):
                write_png(self._to / f"{name}_{who}.png", colorize(mask, self._spec.palette))
        masks = compare_labels(ours, theirs, name=name)
        if prepared.tensor.dtype != given.tensor.dtype or output.dtype.kind != "f":
            greatest = float(np.abs(logits).max())
            return masks.model_copy(update={"input": prepared.tensor.shape, "greatest": greatest})
        reference = Reference(name, prepared.tensor, logits)
        found = compare(reference, output, self._spec)
        if self._precision == "fp32" and is_doubtful(found):
            doubtful = Doubtful(found, reference, output, lambda session: self._pipeline(session).infer(prepared))
            (found,), self.undecided = with_exactness([doubtful], lambda: self._original, self._spec)
        return found.model_copy(update={"pixels": masks.pixels, "pixels_differ": masks.pixels_differ})


def _require_same_network(loaded: Loaded, manifest: Manifest) -> None:
    ours, theirs = loaded.spec, manifest.spec
    if (len(ours.classes), ours.channels) != (len(theirs.classes), theirs.channels):
        raise InputError(
            f"the package was made of a network of {theirs.channels} channels and {len(theirs.classes)} classes, "
            f"this one has {ours.channels} and {len(ours.classes)}"
        )


def _judge(compared: Sequence[Comparison], precision: str) -> list[str]:
    """The gate of an export where there are logits; for int8 and for labels, the share of the masks' pixels."""
    known = [each for each in compared if each.has_logits]
    failed = failures(known, precision)
    return failed if failed or (known and precision != "int8") else mask_failures(compared, precision)
