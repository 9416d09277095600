"""Scenes: rasters of any size through networks, in flat memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.core.errors import InputError
from segship.rasters.source import Raster
from segship.runtime.scene_mean import SceneMean
from segship.runtime.scene_reader import choose_bands
from segship.runtime.scene_run import Run
from segship.runtime.throughput import FEW
from segship.vision.mosaic import block_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from segship.core.augmentation import Augmentation
    from segship.core.manifest import Manifest
    from segship.core.spec import ModelSpec
    from segship.rasters.source import Georeference
    from segship.runtime.logits_store import LogitsStore
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.scene_plan import SceneOptions, ScenePlan

    Labels = NDArray[np.uint8 | np.uint16]
    Place = tuple[slice, slice]

__all__ = ["Decided", "Scene"]

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
    """A raster that opened packages see through windows.

    Close it, or use it in a ``with`` statement.

    Args:
        members: What runs each network, the manifest of its package, and its views, where it is seen in several ways;
            of several members, or views, the mean of their probabilities decides.
        path: The raster.
        options: How it is seen.
        many: Opens the same engines as they make the most masks in a second, and tells how many of their runs go on at
            the same time; asked once, for scenes of many windows. None: windows run one after the other.

    Attributes:
        options: As given.
        path: As given.
        size: (height, width).
        nodata: The label of pixels without a value.

    Raises:
        InputError: The raster or the options cannot be used.
        SizeError: A network cannot take the windows.
    """

    def __init__(
        self,
        members: Sequence[tuple[Pipeline, Manifest, Augmentation | None]],
        path: Path,
        options: SceneOptions,
        many: Callable[[], tuple[Sequence[Pipeline], int]] | None = None,
    ) -> None:
        self._manifest, self.options = members[0][1], options
        self._many, self._at_once = many, 1
        self._raster = Raster(path, remote=options.remote)
        try:
            self._choose_bands([manifest.spec for _, manifest, _ in members])
            self.size = self._raster.size
            self._mean = SceneMean(members, self._raster, options)
        except BaseException:
            self._raster.close()
            raise
        self.path = path
        self.dtype: type[np.uint8 | np.uint16] = np.uint8 if len(self.spec.classes) <= _BYTE_LABELS else np.uint16
        self.nodata = int(np.iinfo(self.dtype).max)

    def _choose_bands(self, specs: Sequence[ModelSpec]) -> None:
        chosen = set()
        for spec in specs:
            choose_bands(self._raster, spec, self.options.bands)
            chosen.add(self._raster.bands)
        if len(chosen) > 1:
            raise InputError(
                f"of {self._raster.path} the packages see different bands, {' and '.join(map(str, sorted(chosen)))}: "
                "give packages that see the same"
            )

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
    def plan(self) -> ScenePlan:
        """The windows; of several networks or views, the first's."""
        return self._mean.views[0].plan

    @property
    def words(self) -> str:
        """How it is seen, for people."""
        return self._mean.words

    @property
    def windows(self) -> int:
        """How many windows there are, of all networks and views."""
        return sum(len(view.plan.windows) for view in self._mean.views)

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
        end: int | None = None,
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
            end: How many there are with these; None: all.
            scores: Give the probabilities, too.
            raw: The network's own, whatever the package's temperatures are.
            scratch: Folder for logits that find no room in memory.
            progress: Called with (windows done, all windows of these blocks).

        Yields:
            The labels of each block.
        """
        yield from self._run(block_places(self.size)[begin:end], scratch, scores=scores, raw=raw, progress=progress)

    def _run(
        self,
        places: Sequence[Place],
        scratch: Path | None = None,
        *,
        scores: bool = False,
        raw: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Decided]:
        def decide(place: Place, stores: Sequence[LogitsStore], valid: NDArray[np.bool_] | None) -> Decided:
            return self._decide(place, stores, valid, scores=scores, raw=raw)

        self._use_many()
        return Run(self._mean.views, self._raster, self._at_once, decide, progress).over(places, scratch)

    def _use_many(self) -> None:
        """Open the engines for many windows, whichever of them are run now, so that each block is always the same."""
        if self._many is None or self.windows <= FEW:
            return
        pipelines, self._at_once = self._many()
        self._mean, self._many = self._mean.running(pipelines), None

    def measure_seams(self, read: Callable[[slice], NDArray[Any]]) -> dict[str, float] | None:
        """Tell how many labels change when the grid of windows is moved by half a stride.

        A few places are seen again, so that it costs little.

        Args:
            read: Returns labels (1, H, width of the scene) of rows.

        Returns:
            ``"places"``, how many were seen; ``"pixels"``, how many they have with a value; ``"changed"``, the share of
            those whose label changes, 0-1. None: there is one window, which has no seams.
        """
        if all(len(view.plan.windows) == 1 for view in self._mean.views):
            return None
        moved = copy.copy(self)
        moved._mean = self._mean.moved()  # noqa: SLF001  (a copy of this one)
        every = block_places(self.size)
        count = min(_PLACES, max(1, len(self.plan.windows) // 100), len(every))
        chosen = [every[(2 * number + 1) * len(every) // (2 * count)] for number in range(count)]
        pixels = changed = 0
        for rows, columns in chosen:
            (again,) = moved._run([(_middle(rows), _middle(columns))])  # noqa: SLF001
            before = read(again.rows)[0][:, again.columns]
            counted = before != self.nodata
            pixels += int(counted.sum())
            changed += int((before != again.labels)[counted].sum())
        return {"places": count, "pixels": pixels, "changed": changed / max(pixels, 1)}

    def count_blocks(self) -> int:
        """Return how many blocks there are."""
        return len(block_places(self.size))

    def _decide(
        self, place: Place, stores: Sequence[LogitsStore], valid: NDArray[np.bool_] | None, *, scores: bool, raw: bool
    ) -> Decided:
        """Labels, and scores if asked for, of a rectangle whose windows are all there."""
        if valid is not None and not valid.any():
            return self._nothing(place, scores=scores)
        labels, shares = self._mean.decide(place, stores, scores=scores, raw=raw)
        found: Labels = labels.astype(self.dtype, copy=False)
        if valid is not None:
            found[~valid] = self.nodata
            if shares is not None:
                shares *= valid
        return Decided(*place, found, shares)

    def _nothing(self, place: Place, *, scores: bool) -> Decided:
        """A rectangle without a value."""
        rows, columns = place
        shape = rows.stop - rows.start, columns.stop - columns.start
        shares = np.zeros((self.channels, *shape), np.float32) if scores else None
        return Decided(rows, columns, np.full(shape, self.nodata, self.dtype), shares)


def _middle(part: slice) -> slice:
    """The middle of a long part."""
    spare = max(0, (part.stop - part.start - _PLACE) // 2)
    return slice(part.start + spare, part.stop - spare)
