"""The mean of probabilities: of several views of an image, of several networks, or of both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError, SizeError
from segship.runtime.augmentation import find_augmentation
from segship.vision import upsample
from segship.vision.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.augmentation import Augmentation, View
    from segship.core.spec import ModelSpec
    from segship.runtime.augmentation import Tta
    from segship.runtime.package import PackageFiles
    from segship.runtime.pipeline import Pipeline
    from segship.vision.preprocess import ChannelOrder

__all__ = ["AveragedPipeline", "averaged", "open_pipeline", "require_alike"]


def open_pipeline(
    found: Sequence[PackageFiles],
    tta: Tta = None,
    *,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    cache: bool = False,
) -> Pipeline | AveragedPipeline:
    """Open the engines of one package or of several.

    Args:
        found: The packages; of several, the mean of their probabilities decides.
        tta: Test-time augmentation, as of `segship.Segmentor`.
        device: As of `segship.Segmentor`.
        threads: As of `segship.Segmentor`.
        trust: As of `segship.Segmentor`.
        cache: As of `segship.Segmentor`.

    Raises:
        InputError: Their classes are not the same, or there is no such augmentation.
        SegshipError: An engine cannot be opened.
    """
    first = found[0].manifest.spec
    views = [find_augmentation(tta, files.manifest.spec, files.manifest.tta) for files in found]
    for files in found[1:]:
        require_alike(first, files.manifest.spec, str(files.path))
    opened: list[Pipeline] = []
    try:
        opened += (files.pipeline(device=device, threads=threads, trust=trust, cache=cache) for files in found)
        return averaged(
            [(one, files.manifest.spec, view) for one, files, view in zip(opened, found, views, strict=True)]
        )
    except BaseException:
        for pipeline in opened:
            pipeline.close()
        raise


def averaged(members: Sequence[tuple[Pipeline, ModelSpec, Augmentation | None]]) -> Pipeline | AveragedPipeline:
    """Put pipelines and their views together: one of one package that sees an image in one way stays as it is.

    Args:
        members: As for `AveragedPipeline`.

    Raises:
        UnsupportedError: As for `AveragedPipeline`.
    """
    seen = [
        (pipeline.mirrored(view.mirror), spec, None) if view is not None and view.mirror else (pipeline, spec, view)
        for pipeline, spec, view in members
    ]
    if len(seen) == 1 and seen[0][2] is None:
        return seen[0][0]
    return AveragedPipeline(seen)


def require_alike(first: ModelSpec, second: ModelSpec, name: str) -> None:
    """Make sure that two networks' probabilities can be averaged.

    Args:
        first: What the one expects and means.
        second: The other.
        name: What the other is called.

    Raises:
        InputError: Their classes, or how labels are decided, are not the same.
    """
    if first.classes != second.classes:
        pairs = zip(first.classes, second.classes, strict=False)
        place, (one, other) = next(
            ((number, pair) for number, pair in enumerate(pairs) if pair[0] != pair[1]), (0, ("", ""))
        )
        found = (
            f"class {place} is {one!r} in the first package and {other!r} in {name}"
            if len(first.classes) == len(second.classes)
            else f"the first package has {len(first.classes)} classes, {name} has {len(second.classes)}"
        )
        raise InputError(f"the scores of several packages are averaged class by class, and {found}")
    if (first.output, first.threshold) != (second.output, second.threshold):
        ways = [f"{spec.output} with threshold {spec.threshold:g}" for spec in (first, second)]
        raise InputError(
            f"the first package decides by {ways[0]}, {name} by {ways[1]}: their scores cannot be averaged"
        )
    if (first.pixels == "multispectral") != (second.pixels == "multispectral"):
        raise InputError(f"only one of the first package and {name} takes bands as they are stored")


class AveragedPipeline:
    """Pipelines that see an image in several ways, used as one.

    As MMSegmentation's ``SegTTAModel`` does it: the scores of each view go back to the image's own size and side, then
    come softmax or sigmoid, the mean, and the argmax or the threshold.

    Args:
        members: Pipelines, each with its spec and the views it takes, or None for the image as it is.

    Raises:
        UnsupportedError: A network returns labels alone, or prepares images itself where other views are wanted.
    """

    batch = 1

    def __init__(self, members: Sequence[tuple[Pipeline, ModelSpec, Augmentation | None]]) -> None:
        self._members = tuple(members)
        self._spec = members[0][1]
        self.require_scores()
        for pipeline, _, augmentation in members:
            if augmentation is not None:
                pipeline.require_views()

    @property
    def members(self) -> list[tuple[Pipeline, Augmentation | None]]:
        """Each network, and its views where it is seen in several ways."""
        return [(pipeline, augmentation) for pipeline, _, augmentation in self._members]

    @property
    def closed(self) -> bool:
        """True once the engines are closed."""
        return any(pipeline.closed for pipeline, *_ in self._members)

    def close(self) -> None:
        """Close every engine."""
        for pipeline, *_ in self._members:
            pipeline.close()

    def require_scores(self) -> None:
        """Make sure that there are scores; raises as `segship.runtime.pipeline.Pipeline` does."""
        for pipeline, *_ in self._members:
            pipeline.require_scores()

    def labels_of(self, images: Sequence[tuple[NDArray[Any], ChannelOrder]]) -> list[NDArray[np.uint8 | np.uint16]]:
        """Labels (H, W) of each image, one after the other."""
        return [self.labels(*image) for image in images]

    def labels(self, image: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.uint8 | np.uint16]:
        """Labels (H, W) of an image uint8 (H, W, 3).

        Raises:
            SizeError: A network cannot take what the image becomes in one of the views.
        """
        return self._decide(self.scores(image, channel_order, raw=True))

    def labels_and_scores(
        self, image: NDArray[np.uint8], channel_order: ChannelOrder, *, raw: bool = False
    ) -> tuple[NDArray[np.uint8 | np.uint16], NDArray[np.float32]]:
        """What `labels` and `scores` return, without a second run where no temperature tells the two apart."""
        mean = self.scores(image, channel_order, raw=True)
        calibrated = not raw and any(pipeline.calibrated for pipeline, *_ in self._members)
        return self._decide(mean), self.scores(image, channel_order) if calibrated else mean

    def _decide(self, mean: NDArray[np.float32]) -> NDArray[np.uint8 | np.uint16]:
        threshold = self._spec.threshold if self._spec.output == "sigmoid" else None
        return upsample.labels(mean, (), align_corners=False, threshold=threshold, activated=True)

    def scores(
        self, image: NDArray[np.uint8], channel_order: ChannelOrder, *, raw: bool = False
    ) -> NDArray[np.float32]:
        """Mean probabilities (C, H, W) of an image uint8 (H, W, 3); errors as for `labels`.

        Args:
            image: uint8 (H, W, 3).
            channel_order: Order of its channels.
            raw: As the networks give them, whatever their temperatures are: these decide the labels.
        """
        total: NDArray[np.float32] | None = None
        for member in self._members:
            found = self._member_scores(*member, image, channel_order, raw=raw)
            total = found if total is None else np.add(total, found, out=total)
        assert total is not None  # there is one member at least
        return total if len(self._members) == 1 else np.divide(total, np.float32(len(self._members)), out=total)

    @staticmethod
    def _member_scores(
        pipeline: Pipeline,
        spec: ModelSpec,
        augmentation: Augmentation | None,
        image: NDArray[np.uint8],
        channel_order: ChannelOrder,
        *,
        raw: bool,
    ) -> NDArray[np.float32]:
        if augmentation is None:
            return pipeline.scores(image, channel_order, raw=raw)
        total: NDArray[np.float32] | None = None
        for view, times in Counter(augmentation.views).items():
            found = _view_scores(pipeline, spec, augmentation, view, image, channel_order, raw=raw)
            found = found if times == 1 else found * np.float32(times)
            total = np.ascontiguousarray(found) if total is None else np.add(total, found, out=total)
        assert total is not None  # an augmentation that is used has views
        return np.divide(total, np.float32(len(augmentation.views)), out=total)


def _view_scores(
    pipeline: Pipeline,
    spec: ModelSpec,
    augmentation: Augmentation,
    view: View,
    image: NDArray[np.uint8],
    channel_order: ChannelOrder,
    *,
    raw: bool,
) -> NDArray[np.float32]:
    """Probabilities (C, H, W) of one view, turned back to the image."""
    turn = Turn(view.turns, view.flip)
    seen = turn.turn(image)
    own = view.spec_for(spec, (seen.shape[0], seen.shape[1]), augmentation.padding)
    try:
        scores = pipeline.seeing(own).scores(seen, channel_order, raw=raw, flip=view.flip, flip_before=view.flip_before)
    except SizeError as error:
        raise SizeError(f"test-time augmentation: {error}") from None
    return turn.undo(scores)
