"""All networks and views that see a raster, and what they say of it together."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.runtime.scene_plan import plan_scene
from segship.runtime.scene_view import SceneView
from segship.vision import upsample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.augmentation import Augmentation
    from segship.core.manifest import Manifest
    from segship.rasters.source import Raster
    from segship.runtime.logits_store import LogitsStore
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.scene_plan import SceneOptions

    Labels = NDArray[np.uint8 | np.uint16]
    Place = tuple[slice, slice]

__all__ = ["SceneMean"]

_PART = 2**23  # probabilities that are averaged at a time: 32 MB, whatever the number of classes


class SceneMean:
    """The mean of the probabilities of networks and their views, as `AveragedPipeline` takes it of an image in memory.

    Where there is one network and one view, its logits decide.

    Args:
        members: As for `segship.runtime.scene.Scene`.
        raster: Opened, its bands chosen.
        options: How it is seen.

    Attributes:
        views: All views of all networks, each once.
    """

    def __init__(
        self,
        members: Sequence[tuple[Pipeline, Manifest, Augmentation | None]],
        raster: Raster,
        options: SceneOptions,
    ) -> None:
        self.views: list[SceneView] = []
        self._times: list[list[int]] = []
        """Of each network: how often each of its views counts."""
        self._spec = members[0][1].spec
        for pipeline, manifest, augmentation in members:
            times: list[int] = []
            for view, count in _views(augmentation).items():
                padded = None if view is None or augmentation is None else (view, augmentation.padding)
                plan = plan_scene(manifest, raster.size, options, raster.metres_per_pixel, padded)
                self.views.append(SceneView(pipeline, manifest, raster, plan))
                times.append(count)
            self._times.append(times)
        self._is_mean = len(members) > 1 or members[0][2] is not None

    @property
    def words(self) -> str:
        """How the raster is seen, for people."""
        words, views = self.views[0].plan.words, sum(map(sum, self._times))
        packages = f" of {len(self._times)} packages" if len(self._times) > 1 else ""
        return f"{words}; the mean of {views} views{packages}" if self._is_mean else words

    def moved(self) -> SceneMean:
        """The same through windows that lie half a stride further."""
        other = copy.copy(self)
        other.views = [view.moved() for view in self.views]
        return other

    def running(self, pipelines: Sequence[Pipeline]) -> SceneMean:
        """The same through other engines of the same packages, one for each."""
        other, each = copy.copy(self), zip(self._times, pipelines, strict=True)
        engines = [pipeline for times, pipeline in each for _ in times]
        other.views = [view.running(engine) for view, engine in zip(self.views, engines, strict=True)]
        return other

    def decide(
        self, place: Place, stores: Sequence[LogitsStore], *, scores: bool, raw: bool
    ) -> tuple[Labels, NDArray[np.float32] | None]:
        """Labels (H, W), and probabilities (C, H, W) if asked for, of a rectangle.

        Args:
            place: Its rows and columns.
            stores: The logits of each view.
            scores: Give the probabilities, too.
            raw: The networks' own, whatever their temperatures are.
        """
        if not self._is_mean:
            view, block = self.views[0], self.views[0].block(*place)
            shares = view.scores(block, stores[0].get, raw=raw) if scores else None
            return view.labels(block, stores[0].get), shares
        calibrated = scores and not raw and any(view.calibrated for view in self.views)
        labels, means = [], []
        for part in _strips(place, len(self._spec.classes)):
            mean = self._mean(part, stores, raw=True)
            labels.append(self._labels(mean))
            if scores:
                means.append(self._mean(part, stores, raw=False) if calibrated else mean)
        return np.concatenate(labels), np.concatenate(means, axis=1) if scores else None

    def _labels(self, mean: NDArray[np.float32]) -> Labels:
        threshold = self._spec.threshold if self._spec.output == "sigmoid" else None
        return upsample.labels(mean, (), align_corners=False, threshold=threshold, activated=True)

    def _mean(self, place: Place, stores: Sequence[LogitsStore], *, raw: bool) -> NDArray[np.float32]:
        """Probabilities (C, H, W), added up in the order in which they are of an image in memory."""
        seen = zip(self.views, stores, strict=True)
        total = _sum(self._network(times, seen, place, raw=raw) for times in self._times)
        return total if len(self._times) == 1 else np.divide(total, np.float32(len(self._times)), out=total)

    @staticmethod
    def _network(times: Sequence[int], seen: Any, place: Place, *, raw: bool) -> NDArray[np.float32]:
        """The mean of one network's views, which are the next of ``seen``."""
        parts = (
            (view.scores(view.block(*place), store.get, raw=raw), count)
            for count, (view, store) in zip(times, seen, strict=False)
        )
        total = _sum(found if count == 1 else found * np.float32(count) for found, count in parts)
        return total if sum(times) == 1 else np.divide(total, np.float32(sum(times)), out=total)


def _views(augmentation: Augmentation | None) -> dict[Any, int]:
    return {None: 1} if augmentation is None else Counter(augmentation.views)


def _sum(parts: Any) -> NDArray[np.float32]:
    """Their sum, in a new array that is theirs to change."""
    total: NDArray[np.float32] | None = None
    for part in parts:
        total = np.array(part, order="C") if total is None else np.add(total, part, out=total)
    assert total is not None  # there is one at least
    return total


def _strips(place: Place, classes: int) -> list[Place]:
    """A rectangle cut into bands of rows whose probabilities take little memory."""
    rows, columns = place
    height = max(1, _PART // (classes * (columns.stop - columns.start)))
    starts = range(rows.start, rows.stop, height)
    return [(slice(start, min(start + height, rows.stop)), columns) for start in starts]
