"""What is evaluated: a package, or a config with its checkpoint, both as a function from an image to labels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segship.core.errors import InputError, MissingExtraError
from segship.core.files import digest
from segship.core.manifest import MANIFEST
from segship.core.processor import processors
from segship.datasets.samples import NameEnds
from segship.reading.configs.config import read_config
from segship.runtime.augmentation import find_augmentation
from segship.runtime.average import averaged
from segship.runtime.package import can_open, find_package
from segship.runtime.segmentor import Segmentor
from segship.runtime.throughput import throughput
from segship.sources import Source

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.runtime.augmentation import Tta
    from segship.runtime.average import AveragedPipeline
    from segship.runtime.pipeline import Pipeline

__all__ = ["Eager", "Evaluable", "Labeller", "NetworkFiles", "OpenNetwork"]

_CONFIG = ".py"


class Labeller(Protocol):
    """A network that labels images."""

    @property
    def spec(self) -> ModelSpec:
        """Return the input that the network expects and the meaning of the labels."""

    def __call__(self, image: NDArray[np.uint8], /, *, channel_order: Any) -> NDArray[Any]:
        """Labels (H, W) of an image uint8 (H, W, 3)."""


class Eager:
    """The network itself, without any engine.

    Args:
        source: Where it lies.
        threads: Threads of PyTorch in the whole process; None: as they are.
        tta: Test-time augmentation, as of `segship.Segmentor`.

    Attributes:
        spec: What the network expects and means.
        session: The network as a session.
        sizes: Which input sizes it takes.

    Raises:
        SegshipError: It cannot be read.
    """

    def __init__(self, source: Source, threads: int | None, tta: Tta = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError("Evaluating a config", "export", "torch") from error
        from segship.core.spec import Padding
        from segship.networks.session import EagerSession
        from segship.runtime.pipeline import Pipeline as OnePipeline

        if threads is not None:
            torch.set_num_threads(threads)
        loaded = source.load()
        self.spec = loaded.spec
        sizes = loaded.network.sizes
        if sizes.multiple_of > 1 and self.spec.slide is None and self.spec.padding is None:
            # As a package of the network does, so that the two can be compared on images of any size.
            self.spec = self.spec.model_copy(update={"padding": Padding(multiple_of=sizes.multiple_of)})
        self.session, self.sizes = EagerSession(loaded.network), sizes
        one = OnePipeline(self.session, self.spec, sizes)
        self._pipeline: Pipeline | AveragedPipeline = one
        views = find_augmentation(tta, self.spec, loaded.tta)
        if views is not None:
            self._pipeline = averaged([(one, self.spec, views)])

    def __call__(self, image: NDArray[np.uint8], /, *, channel_order: Any) -> NDArray[Any]:
        """Labels (H, W) of an image uint8 (H, W, 3)."""
        return self._pipeline.labels(image, channel_order)


class Evaluable(Protocol):
    """A network that can be evaluated."""

    def spec(self) -> ModelSpec:
        """Return the input that the network expects and the meaning of the labels."""

    def identity(self) -> dict[str, str] | None:
        """Digest of each file that decides the labels, by name; None: it is of this process alone."""

    def open(self, shares: int = 1) -> list[Labeller]:
        """Open the network, once for each thread that computes.

        Args:
            shares: How many processes work beside this one, itself included.
        """


@dataclass(frozen=True)
class OpenNetwork:
    """A network that the caller has opened.

    Attributes:
        network: A `Segmentor`, or another labeller; it computes one image at a time.
    """

    network: Labeller

    def __str__(self) -> str:
        return repr(self.network)

    def spec(self) -> ModelSpec:
        """Return the input that the network expects and the meaning of the labels."""
        return self.network.spec

    def identity(self) -> None:
        """Return nothing: the network's files are unknown."""
        return

    def open(self, _shares: int = 1) -> list[Labeller]:
        """The network."""
        return [self.network]


@dataclass(frozen=True)
class NetworkFiles:
    """The place of a network, and how it is run.

    Attributes:
        path: A package, or a config.
        checkpoint: The weights that go with a config.
        device: ``cpu``, ``cuda:0``, …; None: ``cpu``, or the first device of an engine that does not run there.
        threads: Threads of one engine; None: the processors are shared out evenly.
        trust: Open engines that carry code, which then runs.
        origin: How a config is read, in full, where path and checkpoint do not say it all.
        tta: Test-time augmentation, as of `segship.Segmentor`.
    """

    path: Path
    checkpoint: Path | None = None
    device: str | None = None
    threads: int | None = None
    trust: bool = False
    origin: Source | None = None
    tta: Tta = None

    @classmethod
    def of(
        cls,
        network: str | os.PathLike[str] | Source,
        device: str | None = None,
        threads: int | None = None,
        *,
        trust: bool = False,
        tta: Tta = None,
    ) -> NetworkFiles:
        """Name the files of a package or of a source.

        Args:
            network: Path of a package; or a config with its checkpoint.
            device: As the attribute.
            threads: As the attribute.
            trust: As the attribute.
            tta: As the attribute.

        Returns:
            Nothing is opened yet.
        """
        if not isinstance(network, Source):
            return cls(Path(network), None, device, threads, trust, tta=tta)
        checkpoint = None if network.checkpoint is None else Path(network.checkpoint)
        return cls(Path(network.config), checkpoint, device, threads, trust or network.trust, network, tta)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def source(self) -> Source:
        """The source that reads the config."""
        return self.origin or Source(self.path, self.checkpoint)

    @functools.cached_property
    def is_package(self) -> bool:
        """True for a package or another engine that says what it is, not for a config."""
        return self.origin is None and (can_open(self.path) or not self.path.exists())

    def files(self) -> list[Path]:
        """List its files; of a source, what is named."""
        if self.is_package and self.path.is_dir():
            return [self.path / MANIFEST, *(self.path / name for name in find_package(self.path).manifest.files)]
        return [path for path in (self.path, self.checkpoint) if path is not None]

    def name_ends(self) -> NameEnds:
        """Read how a config's data set names its files, where that is more than a suffix; a package does not know."""
        if self.is_package or self.path.suffix != _CONFIG or not self.path.is_file():
            return NameEnds()
        from segship.sources.mmseg.tested import find_dataset

        options = None if self.origin is None else self.origin.cfg_options
        dataset = find_dataset(read_config(self.path, options).values)
        image, label = (dataset.get(key) for key in ("img_suffix", "seg_map_suffix"))
        return NameEnds(*(end if isinstance(end, str) and not end.startswith(".") else None for end in (image, label)))

    def identity(self) -> dict[str, str]:
        """Compute the digest of each file that decides the labels, by name."""
        return self._digests() | ({} if self.tta in {None, False} else {"tta": str(self.tta)})

    def _digests(self) -> dict[str, str]:
        if self.is_package and (self.path / MANIFEST).is_file():
            return {MANIFEST: digest(self.path / MANIFEST).sha256}
        if self.is_package:
            manifest = find_package(self.path).manifest
            return {name: found.sha256 for name, found in (manifest.files | manifest.origin).items()}
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        files += [] if self.checkpoint is None else [self.checkpoint]
        plain = self.origin is None or self.origin == Source(self.origin.config, self.origin.checkpoint)
        how = {} if plain else {"source": repr(self.origin)}
        return {str(file): digest(file).sha256 for file in files if file.is_file()} | how

    def spec(self) -> ModelSpec:
        """Read what the network expects and what its labels mean; of a package without opening its engine."""
        return find_package(self.path).manifest.spec if self.is_package else self.open()[0].spec

    def open(self, shares: int = 1) -> list[Labeller]:
        """Open the network as it makes the most masks in a second.

        Args:
            shares: How many processes work beside this one, itself included.

        Returns:
            The same network, once for each thread that computes.

        Raises:
            SegshipError: It cannot be opened.
        """
        here = max(1, processors() // shares)
        if not self.is_package:
            return [self._eager(self.threads or here)]
        way = throughput(find_package(self.path), self.device, self.threads, here)
        how: dict[str, Any] = {"device": way.device, "threads": way.threads, "trust": self.trust, "tta": self.tta}
        opened: list[Labeller] = [Segmentor(self.path, **how) for _ in range(way.sessions)]
        return opened * way.at_once

    def _eager(self, threads: int) -> Labeller:
        if self.origin is None and self.checkpoint is None and self.path.is_file():
            raise InputError(f"{self.path} is a file, not a package: after a config comes its checkpoint")
        if self.device not in {None, "cpu"}:
            raise InputError(f"a config is evaluated on the cpu, not on {self.device}: export a package for that")
        return Eager(self.source, threads, self.tta)
