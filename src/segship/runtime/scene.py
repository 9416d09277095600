"""Scenes: rasters of any size through a network, in flat memory."""

from __future__ import annotations

import copy
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.rasters.source import Raster
from segship.runtime.logits_store import LogitsStore
from segship.runtime.scene_plan import SceneOptions, plan_scene
from segship.runtime.scene_reader import SceneReader, choose_bands
from segship.vision import confidence, upsample
from segship.vision.mosaic import Mosaic
from segship.vision.preprocess import prepared_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from segship.core.manifest import Manifest
    from segship.core.spec import ModelSpec
    from segship.rasters.source import Georeference
    from segship.runtime.pipeline import Pipeline
    from segship.vision.mosaic import Block

    Labels = NDArray[np.uint8 | np.uint16]
    Key = tuple[int, int]

__all__ = ["Decided", "Scene"]

_AHEAD = 4  # windows that are read before the engine wants them
_MEMORY = 2**28  # bytes of logits
_BYTE_LABELS = 255
_PLACES, _PLACE = 8, 512  # where seams are measured: how many, and pixels of their sides


@dataclass(frozen=True, eq=False)
class Decided:
    """A rectangle of a scene whose labels are known.

    Attributes:
        rows: Its rows.
        columns: Its columns.
        labels: (H, W), uint8, or uint16 where there are more than 255 classes; `Scene.nodata` where there is no value.
        scores: float32 (C, H, W) in 0-1, where they are asked for; 0 where there is no value.
    """

    rows: slice
    columns: slice
    labels: Labels
    scores: NDArray[np.float32] | None = None


class Scene:
    """A raster that an opened package sees through windows.

    Close it, or use it in a ``with`` statement.

    Args:
        pipeline: Runs the network.
        manifest: Of its package.
        path: The raster.
        options: How it is seen.

    Attributes:
        options: As given.
        path: As given.
        plan: The windows.
        size: (height, width).
        nodata: The label of pixels without a value.

    Raises:
        InputError: The raster or the options cannot be used.
        SizeError: The network cannot take the windows.
    """

    def __init__(self, pipeline: Pipeline, manifest: Manifest, path: Path, options: SceneOptions) -> None:
        self._pipeline, self._manifest, self.options = pipeline, manifest, options
        self._raster = Raster(path, remote=options.remote)
        try:
            choose_bands(self._raster, manifest.spec, options.bands)
            self.size = self._raster.size
            self.plan = plan_scene(manifest, self.size, options, self._raster.metres_per_pixel)
        except BaseException:
            self._raster.close()
            raise
        self.path = path
        self.dtype: type[np.uint8 | np.uint16] = np.uint8 if len(manifest.spec.classes) <= _BYTE_LABELS else np.uint16
        self.nodata = int(np.iinfo(self.dtype).max)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the raster; the package stays open."""
        self._raster.close()

    @property
    def georeference(self) -> Georeference:
        """Where the scene lies on the ground."""
        return self._raster.georeference

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return len(self.plan.windows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The labels (H, W) of the whole scene, in memory."""
        del copy  # they are always new
        found = np.empty(self.size, self.dtype if dtype is None else dtype)
        for block in self.blocks():
            found[block.rows, block.columns] = block.labels
        return found

    @property
    def spec(self) -> ModelSpec:
        """What the network expects, and the meaning of the labels."""
        return self._manifest.spec

    @property
    def channels(self) -> int:
        """How many scores a pixel has."""
        return 1 if self.spec.output == "sigmoid" else len(self.spec.classes)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The class of each score."""
        return self.spec.classes[-self.channels :]

    def blocks(
        self,
        begin: int = 0,
        *,
        scores: bool = False,
        raw: bool = False,
        scratch: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Decided]:
        """Decide the scene, block by block, line by line from the left.

        The same blocks at every call; only a few windows are in memory.

        Args:
            begin: How many blocks to leave out.
            scores: Give the probabilities, too.
            raw: The network's own, whatever the package's temperatures are.
            scratch: Folder for logits that find no room in memory.
            progress: Called with (windows done, all windows of the blocks that are not left out).

        Yields:
            The labels of each block.
        """
        shape = self._logits_shape()
        blocks = self._mosaic(shape).blocks()[begin:]
        runner = _Runner(self, shape, scores=scores, raw=raw, progress=progress)
        yield from runner.run(blocks, scratch)

    def measure_seams(self, read: Callable[[slice], NDArray[Any]]) -> dict[str, float] | None:
        """Tell how many labels change when the grid of windows is moved by half a stride.

        A few places are seen again, so that it costs little.

        Args:
            read: Returns labels (1, H, width of the scene) of rows.

        Returns:
            ``"places"``, how many were seen; ``"pixels"``, how many they have with a value; ``"changed"``, the share of
            those whose label changes, 0-1. None: there is one window, which has no seams.
        """
        if self.windows == 1:
            return None
        shape, moved = self._logits_shape(), self._moved()
        blocks = moved._mosaic(shape).blocks()  # noqa: SLF001
        count = min(_PLACES, max(1, self.windows // 100), len(blocks))
        chosen = [blocks[(2 * number + 1) * len(blocks) // (2 * count)] for number in range(count)]
        places = [moved._mosaic(shape).block(_middle(one.rows), _middle(one.columns)) for one in chosen]  # noqa: SLF001
        pixels = changed = 0
        for place in places:
            (again,) = _Runner(moved, shape, scores=False, progress=None).run([place], None)
            before = read(place.rows)[0][:, place.columns]
            counted = before != self.nodata
            pixels += int(counted.sum())
            changed += int((before != again.labels)[counted].sum())
        return {"places": len(places), "pixels": pixels, "changed": changed / max(pixels, 1)}

    def _moved(self) -> Scene:
        """The same scene through windows that lie half a stride further."""
        windows = self.plan.windows
        tops, lefts = _move(windows.tops), _move(windows.lefts)
        moved = copy.copy(self)
        moved.plan = replace(self.plan, windows=replace(windows, tops=tops, lefts=lefts))
        return moved

    def count_blocks(self) -> int:
        """Return how many blocks there are."""
        return len(self._mosaic((1, *self.plan.windows.window)).blocks())

    def _mosaic(self, shape: tuple[int, int, int]) -> Mosaic:
        plan = self.plan
        return Mosaic(
            plan.windows,
            shape[1:],
            plan.steps,
            align_corners=self._manifest.spec.align_corners,
            within=(upsample.Step(plan.windows.window),) if self._decided else plan.within,
            blend=plan.blend,
        )

    @property
    def _decided(self) -> bool:
        return self._manifest.outputs[0].is_whole

    def _logits_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one window's logits: the engine is asked."""
        window, spec = self.plan.windows.window, self.plan.spec
        if "pre" in self._manifest.embed:
            empty: NDArray[Any] = np.zeros((*window, spec.channels), np.uint8)
        else:
            inner = prepared_size(spec, *window) if self.plan.within else window
            empty = np.zeros((1, spec.channels, *inner), np.float32)
        shape = self.infer([empty])[0].shape
        return shape[0], shape[1], shape[2]

    def infer(self, tensors: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The logits (C, h, w) of each window; of an engine that returns labels, 1 for the label and 0 for others."""
        if "pre" in self._manifest.embed:
            found = [self._pipeline.run(tensor) for tensor in tensors]
        else:
            outputs = self._pipeline.run(np.concatenate(tensors) if len(tensors) > 1 else tensors[0])
            found = [outputs[number : number + 1] for number in range(len(tensors))]
        if self._decided:
            return [self._votes(output) for output in found]
        return [np.asarray(output[0], np.float32) for output in found]

    def _votes(self, output: NDArray[Any]) -> NDArray[np.float32]:
        labels = self._pipeline.labels_at(output, self.plan.within or (upsample.Step(self.plan.windows.window),))
        votes: NDArray[np.bool_] = labels == np.arange(len(self._manifest.spec.classes))[:, None, None]
        return votes.astype(np.float32)

    @property
    def batch(self) -> int:
        """Most windows in one run."""
        return 1 if "pre" in self._manifest.embed else self._pipeline.batch

    def reader(self) -> SceneReader:
        """What reads the windows; for one thread."""
        return SceneReader(self._raster, self.plan, raw="pre" in self._manifest.embed)

    def decide(
        self, block: Block, store: LogitsStore, valid: NDArray[np.bool_] | None, *, scores: bool, raw: bool = False
    ) -> Decided:
        """Labels, and scores if asked for, of one block whose windows are all there."""
        spec = self._manifest.spec
        cells = block.gather(store.get)
        threshold = spec.threshold if spec.output == "sigmoid" and not self._decided else None
        activated = spec.returns == "probabilities"
        labels = upsample.decide(cells, *block.operators, threshold=threshold, activated=activated)
        found: Labels = labels.astype(self.dtype, copy=False)
        shares = None
        if scores:
            resized = partial(upsample.probabilities, rows=block.operators[0], columns=block.operators[1])
            calibration = None if raw else self._manifest.calibration
            shares = confidence.probabilities(
                cells,
                resized,
                () if calibration is None else calibration.temperatures,
                sigmoid=spec.output == "sigmoid",
                activated=activated,
            )
        if valid is not None:
            found[~valid] = self.nodata
            if shares is not None:
                shares *= valid
        return Decided(block.rows, block.columns, found, shares)

    def nothing(self, block: Block, channels: int | None) -> Decided:
        """A block without a value."""
        shape = block.rows.stop - block.rows.start, block.columns.stop - block.columns.start
        shares = None if channels is None else np.zeros((channels, *shape), np.float32)
        return Decided(block.rows, block.columns, np.full(shape, self.nodata, self.dtype), shares)


def _move(starts: tuple[int, ...]) -> tuple[int, ...]:
    if len(starts) == 1:
        return starts
    stride, last = starts[1] - starts[0], starts[-1]
    return (0, *range(max(1, stride // 2), last, stride), last)


def _middle(part: slice) -> slice:
    """The middle of a long part."""
    spare = max(0, (part.stop - part.start - _PLACE) // 2)
    return slice(part.start + spare, part.stop - spare)


class _Runner:
    """One pass over blocks: a thread reads ahead, this one runs the engine, another decides."""

    def __init__(
        self,
        scene: Scene,
        shape: tuple[int, int, int],
        *,
        scores: bool,
        raw: bool = False,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._scene, self._shape, self._scores, self._raw, self._progress = scene, shape, scores, raw, progress
        self._done = self._all = 0

    def run(self, blocks: list[Block], scratch: Path | None) -> Iterator[Decided]:
        fresh = _first_uses(blocks)
        last = {key: number for number, block in enumerate(blocks) for key in block.windows}
        leaving = [[key for key in block.windows if last[key] == number] for number, block in enumerate(blocks)]
        self._all = sum(map(len, fresh))
        with (
            ThreadPoolExecutor(1) as reading,
            ThreadPoolExecutor(1) as deciding,
            LogitsStore(self._shape, _MEMORY, scratch) as store,
        ):
            arriving = _ahead(reading, self._jobs(blocks, fresh))
            waiting: deque[Any] = deque()
            for number, block in enumerate(blocks):
                self._fill(store, fresh[number], arriving)
                valid = next(arriving)
                waiting.append(deciding.submit(self._decide, block, store, valid))
                if number:
                    yield waiting.popleft().result()
                    for key in leaving[number - 1]:
                        store.drop(key)
            yield waiting.popleft().result()

    def _jobs(self, blocks: list[Block], fresh: list[list[Key]]) -> Iterator[Callable[[], Any]]:
        """What the reading thread does, in order: the windows that a block brings, then which of its pixels count."""
        reader = self._scene.reader()
        for block, keys in zip(blocks, fresh, strict=True):
            lines = sorted({line for line, _ in block.windows})
            for key in keys:
                yield partial(_read, reader, lines, key)
            yield partial(reader.valid, block.rows, block.columns)

    def _fill(self, store: LogitsStore, keys: list[Key], arriving: Iterator[Any]) -> None:
        """Run the engine on windows, as many at once as it takes."""
        waiting: list[tuple[Key, NDArray[Any]]] = []
        for key in keys:
            tensor = next(arriving)
            if tensor is None:
                store.put(key, np.zeros(self._shape, np.float32))
                self._step(1)
            else:
                waiting.append((key, tensor))
            if len(waiting) == self._scene.batch or (key == keys[-1] and waiting):
                logits = self._scene.infer([one for _, one in waiting])
                for (place, _), found in zip(waiting, logits, strict=True):
                    store.put(place, found)
                self._step(len(waiting))
                waiting.clear()

    def _step(self, windows: int) -> None:
        self._done += windows
        if self._progress is not None:
            self._progress(self._done, self._all)

    def _decide(self, block: Block, store: LogitsStore, valid: NDArray[np.bool_] | None) -> Decided:
        if valid is not None and not valid.any():
            return self._scene.nothing(block, self._shape[0] if self._scores else None)
        return self._scene.decide(block, store, valid, scores=self._scores, raw=self._raw)


def _read(reader: SceneReader, lines: list[int], key: Key) -> NDArray[Any] | None:
    reader.hold(lines)
    return reader.tensor(*key)


def _first_uses(blocks: list[Block]) -> list[list[Key]]:
    """The windows that each block needs and none before it."""
    seen: set[Key] = set()
    found = []
    for block in blocks:
        found.append([key for key in block.windows if key not in seen])
        seen.update(block.windows)
    return found


def _ahead(pool: ThreadPoolExecutor, jobs: Iterator[Callable[[], Any]]) -> Iterator[Any]:
    """The results of jobs in order, a few of them done before they are asked for."""
    waiting: deque[Any] = deque()
    for job in jobs:
        waiting.append(pool.submit(job))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
