"""A package opened so that each stage can be timed on its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import find_backend
from segship.core.errors import InputError
from segship.core.manifest import read_manifest
from segship.vision import tiling, upsample
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.spec import ModelSpec, SizeRule
    from segship.vision.preprocess import Prepared

__all__ = ["Subject", "Work"]


@dataclass(frozen=True)
class Work:
    """What one run is given.

    Attributes:
        files: An image file for each image of the batch.
        tensor: float32 (N, C, H, W) for the engine alone.
    """

    files: tuple[Path, ...]
    tensor: NDArray[np.float32]


class Subject:
    """An opened engine with what belongs to it.

    Args:
        session: The engine, or the eager network as one.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        name: To tell it from others.
        target: Engine, precision and shape, in words.
        image: Name of the session's input.
        logits: Name of its output.
        batch: The only batch it takes; None: any.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        sizes: SizeRule,
        *,
        name: str,
        target: str,
        image: str = "image",
        logits: str = "logits",
        batch: int | None = None,
    ) -> None:
        self._session, self._spec, self._sizes = session, spec, sizes
        self._image, self._logits, self._batch = image, logits, batch
        self.name, self.target = name, target

    @classmethod
    def open(cls, package: Path, *, device: str = "cpu", threads: int | None = None) -> Subject:
        """Open a package.

        Args:
            package: Its folder.
            device: ``cpu``, ``cuda:0``, …
            threads: Threads of the engine; None: its own choice.

        Raises:
            SegshipError: It cannot be opened.
        """
        manifest = read_manifest(package)
        backend = find_backend(manifest.target.backend)
        first = manifest.inputs[0].shape[0]
        return cls(
            backend.open(manifest.engine(package), device=device, threads=threads),
            manifest.spec,
            manifest.sizes,
            name=str(package),
            target=str(manifest.target),
            image=manifest.inputs[0].name,
            logits=manifest.outputs[0].name,
            batch=first if isinstance(first, int) else None,
        )

    def work(self, files: Sequence[Path], batch: int, size: tuple[int, int] | None) -> Work:
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
        tensors = [self._window(prepare(read_image(file), self._spec).tensor) for file in chosen]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise InputError("the images become inputs of different sizes, which cannot be one batch: give --size")
        tensor = np.concatenate(tensors)
        if size is not None:
            tensor = np.resize(tensor, (*tensor.shape[:2], *size))
        if not self._sizes.allows(*tensor.shape[2:]):
            found = "x".join(map(str, tensor.shape[2:]))
            raise InputError(f"the network's input would be {found}, it takes {self._sizes}")
        return Work(chosen, np.ascontiguousarray(tensor))

    def _window(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first window, where the network slides."""
        if self._spec.slide is None:
            return tensor
        windows = tiling.plan((tensor.shape[2], tensor.shape[3]), self._spec.slide, self._sizes)
        return next(windows.batches(tensor))

    def engine(self, work: Work) -> dict[str, float]:
        """Run the engine alone; seconds by stage."""
        begin = time.perf_counter()
        self._run(work.tensor)
        return {"engine": time.perf_counter() - begin}

    def end_to_end(self, work: Work) -> dict[str, float]:
        """From the files to the masks; seconds by stage."""
        marks = [time.perf_counter()]
        images = [read_image(file) for file in work.files]
        marks.append(time.perf_counter())
        prepared = [prepare(image, self._spec) for image in images]
        marks.append(time.perf_counter())
        logits = self._whole(prepared) if self._spec.slide is None else self._sliding(prepared)
        marks.append(time.perf_counter())
        for one, scores in zip(prepared, logits, strict=True):
            self._decide(one, scores)
        marks.append(time.perf_counter())
        stages = ("decode", "preprocess", "engine", "postprocess")
        return {stage: end - begin for stage, begin, end in zip(stages, marks, marks[1:], strict=False)}

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._session.run({self._image: tensor})[self._logits]

    def _whole(self, prepared: list[Prepared]) -> list[Any]:
        return list(self._run(np.concatenate([one.tensor for one in prepared])))

    def _sliding(self, prepared: list[Prepared]) -> list[Any]:
        found = []
        for one in prepared:
            windows = self._plan(one)
            found.append(np.concatenate([self._run(window) for window in windows.batches(one.tensor)]))
        return found

    def _plan(self, one: Prepared) -> tiling.Plan:
        assert self._spec.slide is not None  # noqa: S101  (asked by the caller)
        return tiling.plan((one.tensor.shape[2], one.tensor.shape[3]), self._spec.slide, self._sizes)

    def _decide(self, one: Prepared, scores: NDArray[np.float32]) -> None:
        threshold = self._spec.threshold if self._spec.output == "sigmoid" else None
        corners = self._spec.align_corners
        if self._spec.slide is None:
            upsample.labels(scores, one.steps, align_corners=corners, threshold=threshold)
        else:
            tiling.labels(scores, self._plan(one), one.steps, align_corners=corners, threshold=threshold)
