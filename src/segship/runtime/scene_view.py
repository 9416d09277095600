"""One network's way to see a raster: its windows, and what it says of a rectangle."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.runtime.scene_reader import SceneReader
from segship.vision import confidence, upsample
from segship.vision.mosaic import Mosaic
from segship.vision.preprocess import prepared_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segship.core.manifest import Manifest
    from segship.rasters.source import Raster
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.scene_plan import ScenePlan
    from segship.vision.mosaic import Block, Logits

    Labels = NDArray[np.uint8 | np.uint16]
    Key = tuple[int, int]

__all__ = ["SceneView"]


class SceneView:
    """A raster that one network sees through windows, turned and flipped as its plan says.

    Args:
        pipeline: Runs the network.
        manifest: Of its package.
        raster: Opened, its bands chosen.
        plan: The windows.

    Attributes:
        plan: As given.
    """

    def __init__(self, pipeline: Pipeline, manifest: Manifest, raster: Raster, plan: ScenePlan) -> None:
        self._pipeline, self._manifest, self._raster, self.plan = pipeline, manifest, raster, plan
        self._decided: bool = manifest.outputs[0].is_whole
        self._embedded = "pre" in manifest.embed
        self._made: Mosaic | None = None
        self._shape: tuple[int, int, int] | None = None

    @property
    def calibrated(self) -> bool:
        """Whether its scores are divided by temperatures."""
        return self._manifest.calibration is not None

    @property
    def batch(self) -> int:
        """Most windows in one run."""
        return 1 if self._embedded else self._pipeline.batch

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one window's logits: the engine is asked."""
        if self._shape is None:
            window, spec = self.plan.windows.window, self.plan.spec
            if self._embedded:
                empty: NDArray[Any] = np.zeros((*window, spec.channels), np.uint8)
            else:
                inner = prepared_size(spec, *window) if self.plan.within else window
                empty = np.zeros((1, spec.channels, *inner), np.float32)
            shape = self._infer([empty])[0].shape
            self._shape = shape[0], shape[1], shape[2]
        return self._shape

    def moved(self) -> SceneView:
        """The same through windows that lie half a stride further."""
        windows = self.plan.windows
        tops, lefts = _move(windows.tops), _move(windows.lefts)
        other = copy.copy(self)
        other.plan = replace(self.plan, windows=replace(windows, tops=tops, lefts=lefts))
        other._made = None  # noqa: SLF001  (a copy of this one)
        return other

    def running(self, pipeline: Pipeline) -> SceneView:
        """The same through another engine of the same package."""
        other = copy.copy(self)
        other._pipeline = pipeline  # noqa: SLF001  (a copy of this one)
        return other

    def block(self, rows: slice, columns: slice) -> Block:
        """Return what is seen of a rectangle of the raster."""
        return self._mosaic.block(*self.plan.turn.seen((rows, columns), self.plan.size))

    @property
    def _mosaic(self) -> Mosaic:
        if self._made is None:
            plan = self.plan
            self._made = Mosaic(
                plan.windows,
                self.shape[1:],
                plan.steps,
                align_corners=self._manifest.spec.align_corners,
                within=(upsample.Step(plan.windows.window),) if self._decided else plan.within,
                blend=plan.blend,
            )
        return self._made

    def reader(self) -> SceneReader:
        """What reads the windows, and prepares them."""
        return SceneReader(self._raster, self.plan, raw=self._embedded)

    def logits(self, reader: SceneReader, pixels: Sequence[NDArray[Any] | None]) -> list[NDArray[np.float32]]:
        """The logits (C, h, w) of windows, 0 for those without a value; for any thread.

        Args:
            reader: As of `reader`.
            pixels: What it read of each.
        """
        tensors = [reader.tensor(one) for one in pixels if one is not None]
        found = iter(self._infer(tensors) if tensors else ())
        return [np.zeros(self.shape, np.float32) if one is None else next(found) for one in pixels]

    def _infer(self, tensors: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The logits (C, h, w) of each window; of an engine that returns labels, 1 for the label and 0 for others."""
        if self._embedded:
            found = [self._pipeline.see(tensor) for tensor in tensors]
        else:
            outputs = self._pipeline.see(np.concatenate(tensors) if len(tensors) > 1 else tensors[0])
            found = [outputs[number : number + 1] for number in range(len(tensors))]
        if self._decided:
            return [self._votes(output) for output in found]
        return [np.asarray(output[0], np.float32) for output in found]

    def _votes(self, output: NDArray[Any]) -> NDArray[np.float32]:
        labels = self._pipeline.labels_at(output, self.plan.within or (upsample.Step(self.plan.windows.window),))
        votes: NDArray[np.bool_] = labels == np.arange(len(self._manifest.spec.classes))[:, None, None]
        return votes.astype(np.float32)

    def labels(self, block: Block, logits: Logits) -> Labels:
        """Decide a block that is neither turned nor flipped."""
        spec = self._manifest.spec
        threshold = spec.threshold if spec.output == "sigmoid" and not self._decided else None
        activated = spec.returns == "probabilities"
        return upsample.decide(block.gather(logits), *block.operators, threshold=threshold, activated=activated)

    def scores(self, block: Block, logits: Logits, *, raw: bool) -> NDArray[np.float32]:
        """Probabilities (C, H, W) of a block, as the raster lies.

        Args:
            block: As of `block`.
            logits: As for `segship.vision.mosaic.Block.gather`.
            raw: The network's own, whatever its temperatures are.
        """
        spec, calibration = self._manifest.spec, None if raw else self._manifest.calibration
        resized: Callable[..., NDArray[np.float32]] = partial(
            upsample.probabilities, rows=block.operators[0], columns=block.operators[1]
        )
        found = confidence.probabilities(
            block.gather(logits),
            resized,
            () if calibration is None else calibration.temperatures,
            sigmoid=spec.output == "sigmoid",
            activated=spec.returns == "probabilities",
        )
        return self.plan.turn.undo(found)


def _move(starts: tuple[int, ...]) -> tuple[int, ...]:
    if len(starts) == 1:
        return starts
    stride, last = starts[1] - starts[0], starts[-1]
    return (0, *range(max(1, stride // 2), last, stride), last)
