"""A package opened so that each stage can be timed on its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError
from segship.runtime.package import find_package
from segship.vision import tiling
from segship.vision.bands import read_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec, SizeRule
    from segship.runtime.pipeline import Pipeline
    from segship.vision.preprocess import Prepared

__all__ = ["Candidate", "HowToOpen", "Workload"]

_TENSOR = 4  # dimensions of (N, C, H, W)


@dataclass(frozen=True)
class HowToOpen:
    """The settings that a package is opened with.

    Attributes:
        device: ``cpu``, ``cuda:0``, …; None: ``cpu``, or the first device of an engine that does not run there.
        threads: Threads of the engine; None: its own choice.
        trust: Open engines that carry code, which then runs.
    """

    device: str | None = None
    threads: int | None = None
    trust: bool = False


@dataclass(frozen=True)
class Workload:
    """The images and batch of one run.

    Attributes:
        files: An image file for each image of the batch.
        tensor: float32 (N, C, H, W) for the engine alone; uint8 (H, W, 3) where it prepares images itself.
    """

    files: tuple[Path, ...]
    tensor: NDArray[Any]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what the engine is given."""
        sides = self.tensor.shape[2:] if self.tensor.ndim == _TENSOR else self.tensor.shape[:2]
        return int(sides[0]), int(sides[1])


class Candidate:
    """An opened engine with what belongs to it.

    Args:
        pipeline: The engine, or the eager network, with what goes before and after it.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        name: To tell it from others.
        target: Engine, precision and shape, in words.
        batch: The only batch it takes; None: any.

    Attributes:
        spec: What the network expects and means.
        name: To tell it from others.
        target: Engine, precision and shape, in words.
        device: What its engine runs on.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        spec: ModelSpec,
        sizes: SizeRule,
        *,
        name: str,
        target: str,
        batch: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.spec, self._sizes, self._batch = spec, sizes, batch
        self._pipeline = pipeline
        self.name, self.target, self.device = name, target, device

    @classmethod
    def open(cls, package: Path, how: HowToOpen | None = None) -> Candidate:
        """Open a package.

        Args:
            package: Its folder, a folder of MMDeploy's, or an engine file.
            how: Device, threads and trust; None: as they are by default.

        Returns:
            The package, ready to be timed.

        Raises:
            SegshipError: It cannot be opened.
        """
        how = how or HowToOpen()
        files = find_package(package)
        manifest, device = files.manifest, how.device or files.default_device
        first = manifest.inputs[0].shape[0]
        return cls(
            files.pipeline(device=device, threads=how.threads, trust=how.trust),
            manifest.spec,
            manifest.sizes,
            name=str(package),
            target=str(manifest.target),
            batch=1 if manifest.embed else first if isinstance(first, int) else None,
            device=device,
        )

    def close(self) -> None:
        """Give the engine's memory back."""
        self._pipeline.close()

    def workload(self, files: Sequence[Path], batch: int, size: tuple[int, int] | None) -> Workload:
        """Find out what a run is given, and that the package takes it.

        Args:
            files: Image files, used in turn.
            batch: Images in one run.
            size: (height, width) of the engine's input when it runs alone; None: what the image becomes.

        Raises:
            InputError: The package takes no such batch or size.
        """
        if self._batch is not None and self._batch != batch:
            raise InputError(
                f"this engine takes {self._batch} at once: export it with a dynamic shape for other batches"
            )
        chosen = tuple(files[number % len(files)] for number in range(batch))
        tensors = [self._first(read_pixels(file, self.spec)) for file in chosen]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise InputError("the images become inputs of different sizes, which cannot be one batch: give --size")
        tensor = np.concatenate(tensors)
        if tensor.ndim == _TENSOR:
            tensor = tensor if size is None else np.resize(tensor, (*tensor.shape[:2], *size))
            if not self._sizes.allows(*tensor.shape[2:]):
                found = "x".join(map(str, tensor.shape[2:]))
                raise InputError(f"the network's input would be {found}, it takes {self._sizes}")
        elif size is not None:
            tensor = np.resize(tensor, (*size, tensor.shape[2]))
        return Workload(chosen, np.ascontiguousarray(tensor))

    def _first(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """What the engine is given for an image; the first window, where the network slides."""
        tensor = self._pipeline.prepare(image, "bgr").tensor
        if self.spec.slide is None:
            return tensor
        windows = tiling.plan((tensor.shape[2], tensor.shape[3]), self.spec.slide, self._sizes)
        return next(windows.batches(tensor))

    def engine(self, workload: Workload) -> dict[str, float]:
        """Run the engine alone; seconds by stage."""
        begin = time.perf_counter()
        self._pipeline.run(workload.tensor)
        return {"engine": time.perf_counter() - begin}

    def end_to_end(self, workload: Workload) -> dict[str, float]:
        """From the files to the masks; seconds by stage."""
        marks = [time.perf_counter()]
        images = [read_pixels(file, self.spec) for file in workload.files]
        marks.append(time.perf_counter())
        prepared = [self._pipeline.prepare(image, "bgr") for image in images]
        marks.append(time.perf_counter())
        outputs = self._outputs(prepared)
        marks.append(time.perf_counter())
        for one, output in zip(prepared, outputs, strict=True):
            self._pipeline.decide(output, one)
        marks.append(time.perf_counter())
        stages = ("decode", "preprocess", "engine", "postprocess")
        return {stage: end - begin for stage, begin, end in zip(stages, marks, marks[1:], strict=False)}

    def _outputs(self, prepared: list[Prepared]) -> list[Any]:
        """Of each image; whole ones run as one batch."""
        if len(prepared) == 1 or self.spec.slide is not None:
            return [self._pipeline.infer(one) for one in prepared]
        outputs = self._pipeline.run(np.concatenate([one.tensor for one in prepared]))
        return [outputs[place : place + 1] for place in range(len(prepared))]
