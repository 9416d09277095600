"""A package held against the network it was made of, on real images, at any time after its export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import find_backend
from segship.core.errors import InputError
from segship.core.manifest import read_manifest
from segship.deploy.lower import Lowering
from segship.deploy.samples import find_scenes, first_window
from segship.deploy.ship import require_extra
from segship.graph.check import Sample, compare, failures
from segship.runtime.pipeline import Pipeline
from segship.runtime.predict import output_names
from segship.vision.bands import imitate, read_pixels
from segship.vision.decode import find_images
from segship.vision.draw import write_png
from segship.vision.palette import colorize
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.manifest import Check, Manifest
    from segship.core.spec import ModelSpec
    from segship.sources import Loaded

__all__ = ["Compared", "Verification", "verify"]


@dataclass(frozen=True)
class Compared:
    """One image, seen by the network and by the package.

    Attributes:
        image: Name of the file, or ``scene`` for a bundled one.
        input: Shape of what the network is given (N, C, H, W): of the whole image, or of its first window.
        max_difference: Greatest difference of the logits, as they are.
        greatest: Greatest magnitude of the network's logits.
        pixels: Of the image.
        pixels_differ: How many of them have another label.
    """

    image: str
    input: tuple[int, ...]
    max_difference: float
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
    config: str | Path,
    checkpoint: str | Path | None,
    package: str | Path,
    *,
    images: Sequence[str | Path] = (),
    to: str | Path | None = None,
    on_stage: Callable[[str], None] | None = None,
    **options: Any,
) -> Verification:
    """Compare a package with the network it was made of.

    The network runs in the framework that reads it: Paddle Inference for PaddleSeg's folders, PyTorch for most others.

    Args:
        config: The network, as for `export`.
        checkpoint: Its weights, where ``config`` does not bring them.
        package: What was exported.
        images: Files or folders; none: the bundled scenes.
        to: Folder for two pictures of each image, ``NAME_network.png`` and ``NAME_package.png``; None: none.
        on_stage: Called with the name of each stage as it begins.
        **options: ``source``, ``cfg_options``, ``spec``, ``trust``, as for `export`.

    Raises:
        SegshipError: Something cannot be read or run, or the two are of different networks.
    """
    tell = on_stage or (lambda _: None)
    require_extra()
    from segship import sources  # noqa: PLC0415
    from segship.models.session import EagerSession  # noqa: PLC0415

    manifest = read_manifest(Path(package))
    files = find_images([Path(image) for image in images]) if images else []
    engine = find_backend(manifest.target.backend).open(manifest.engine(Path(package)))
    tell("reading the network")
    loaded = sources.load(config, checkpoint, **options)
    _require_kin(loaded, manifest)
    pair = _Pair(EagerSession(loaded.network), engine, manifest, Path(to) if to is not None else None)
    found: list[tuple[Compared, Check]] = []
    for name, pixels in _pictures(files, manifest.spec):
        tell(f"comparing {name}")
        found.append(pair.compare(name, pixels))
    failed = _judge([compared for compared, _ in found], [check for _, check in found], manifest)
    network = f"{loaded.spec.architecture} ({loaded.spec.source})"
    return Verification(network, str(manifest.target), tuple(compared for compared, _ in found), tuple(failed))


def _pictures(files: Sequence[Path], spec: ModelSpec) -> Iterator[tuple[str, NDArray[Any]]]:
    """A distinct name and the pixels of each image."""
    if not files:
        for number, scene in enumerate(find_scenes()):
            yield f"scene-{number}", imitate(scene, spec)
    for name, file in zip(output_names(files), files, strict=True):
        yield name, read_pixels(file, spec)


class _Pair:
    """The network and the package, for the same input."""

    def __init__(self, network: Session, engine: Session, manifest: Manifest, to: Path | None) -> None:
        self._spec, self._to = manifest.spec, to
        self._sessions = {"network": network, "package": engine}
        self._pipelines = {
            name: Pipeline(session, manifest.spec, manifest.sizes) for name, session in self._sessions.items()
        }

    def compare(self, name: str, pixels: NDArray[Any]) -> tuple[Compared, Check]:
        """Figures of one image; its pictures are written."""
        tensor = first_window(prepare(pixels, self._spec).tensor, self._spec)
        masks = {who: pipeline.labels(pixels, "bgr") for who, pipeline in self._pipelines.items()}
        logits = {who: session.run({"image": tensor})["logits"] for who, session in self._sessions.items()}
        (check,) = compare([Sample(name, tensor, logits["network"])], _Known(logits["package"]), self._spec)
        compared = Compared(
            image=name,
            input=tensor.shape,
            max_difference=float(np.abs(logits["network"] - logits["package"]).max()),
            greatest=float(np.abs(logits["network"]).max()),
            pixels=masks["network"].size,
            pixels_differ=int((masks["network"] != masks["package"]).sum()),
        )
        if self._to is not None:
            for who, mask in masks.items():
                write_png(self._to / f"{name}_{who}.png", colorize(mask, self._spec.palette))
        return compared, check


class _Known:
    """A session whose answer is there already."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits = logits

    def run(self, _: Any) -> dict[str, NDArray[np.float32]]:
        return {"logits": self._logits}


def _require_kin(loaded: Loaded, manifest: Manifest) -> None:
    ours, theirs = loaded.spec, manifest.spec
    if (ours.source, len(ours.classes), ours.channels) != (theirs.source, len(theirs.classes), theirs.channels):
        raise InputError(
            f"the package was made of a network of {theirs.source} with {theirs.channels} channels and "
            f"{len(theirs.classes)} classes, this one is of {ours.source} with {ours.channels} and {len(ours.classes)}"
        )


def _judge(compared: Sequence[Compared], checks: Sequence[Check], manifest: Manifest) -> list[str]:
    """The gate of an export; for int8, the share of the masks' pixels."""
    failed = failures(checks, manifest.target.precision)
    if manifest.target.precision == "int8" and not failed:
        gate = Lowering().agreement
        equal = 1 - sum(each.pixels_differ for each in compared) / sum(each.pixels for each in compared)
        failed += [f"int8: {equal:.2%} of the pixels keep their label (gate {gate:.0%})"] if equal < gate else []
    return failed
