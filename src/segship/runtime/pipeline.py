"""From a decoded image to labels or scores, through any Session."""

from __future__ import annotations

import copy
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import BackendError, SizeError, UnsupportedError
from segship.vision import tiling, upsample
from segship.vision.confidence import probabilities
from segship.vision.label_maps import label_dtype, resize_labels
from segship.vision.preprocess import Prepared, as_image, inverse_steps, prepare, prepared_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.augmentation import Flip
    from segship.core.plan import Embedded
    from segship.core.spec import ModelSpec, SizeRule
    from segship.vision.preprocess import ChannelOrder
    from segship.vision.upsample import Step

__all__ = ["Pipeline"]

_AXES: dict[Flip, int] = {"horizontal": 3, "vertical": 2}


class Pipeline:
    """Preprocess, run, resize and decide; window by window where the network slides.

    Args:
        session: An opened engine, or the eager network as one.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        image: Name of the session's input.
        logits: Name of its output.
        batch: Most windows or images in one run; 1 where the engine's batch is fixed, and on a processor, where it is
            fastest.
        embed: What of this the engine does itself, as in the manifest.
        decided: Whether the engine returns labels.
        temperatures: What logits are divided by in scores: one, or one for each; none: scores are the network's own.

    Attributes:
        batch: As given.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        sizes: SizeRule,
        *,
        image: str = "image",
        logits: str = "logits",
        batch: int = 1,
        embed: tuple[Embedded, ...] = (),
        decided: bool = False,
        temperatures: tuple[float, ...] = (),
    ) -> None:
        self._open: Session | None = session
        self._spec = spec
        self._sizes = sizes
        self._image, self._logits = image, logits
        self.batch = batch
        self._embed = embed
        self._decided = decided
        self._temperatures = temperatures
        self._mirror: tuple[Flip, ...] = ()

    @property
    def closed(self) -> bool:
        """True once the engine is closed."""
        return self._open is None

    @property
    def calibrated(self) -> bool:
        """Whether scores are divided by temperatures."""
        return bool(self._temperatures)

    def close(self) -> None:
        """Give the engine's memory back; what runs it afterwards is an error."""
        session, self._open = self._open, None
        if session is not None:
            session.close()

    def labels(self, image: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.uint8 | np.uint16]:
        """Labels (H, W) of an image uint8 (H, W, 3).

        Raises:
            SizeError: The network cannot take what the image becomes.
        """
        prepared = self.prepare(image, channel_order)
        return self.decide(self.infer(prepared), prepared)

    def labels_of(self, images: Sequence[tuple[NDArray[Any], ChannelOrder]]) -> list[NDArray[np.uint8 | np.uint16]]:
        """Labels (H, W) of each image; those that become inputs of one size run at once.

        Args:
            images: At most `batch`, each with the order of its channels.

        Raises:
            SizeError: The network cannot take what an image becomes.
        """
        if len(images) < 2 or self._spec.slide is not None or "pre" in self._embed:  # noqa: PLR2004
            return [self.labels(*image) for image in images]
        prepared = [self.prepare(*image) for image in images]
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, one in enumerate(prepared):
            groups.setdefault(one.tensor.shape, []).append(place)
        found: dict[int, NDArray[np.uint8 | np.uint16]] = {}
        for places in groups.values():
            self._require_size(prepared[places[0]])
            outputs = self.see(np.concatenate([prepared[place].tensor for place in places]))
            for number, place in enumerate(places):
                found[place] = self.decide(outputs[number : number + 1], prepared[place])
        return [found[place] for place in range(len(images))]

    def seeing(self, spec: ModelSpec) -> Pipeline:
        """The same engine, fed as another spec says; it is closed by this pipeline."""
        other = copy.copy(self)
        other._spec = spec  # noqa: SLF001  (a copy of this one)
        return other

    def mirrored(self, flips: tuple[Flip, ...]) -> Pipeline:
        """The same engine, whose answer is the mean over its input flipped in all combinations; closed by this one.

        Raises:
            UnsupportedError: The engine or the network returns labels, or the engine prepares images itself.
        """
        self.require_scores()
        self.require_views()
        other = copy.copy(self)
        other._mirror = flips  # noqa: SLF001  (a copy of this one)
        return other

    def scores(
        self,
        image: NDArray[np.uint8],
        channel_order: ChannelOrder,
        *,
        raw: bool = False,
        flip: Flip | None = None,
        flip_before: int = 0,
    ) -> NDArray[np.float32]:
        """Probabilities (C, H, W) of an image uint8 (H, W, 3).

        Args:
            image: uint8 (H, W, 3).
            channel_order: Order of its channels.
            raw: As the network gives them, whatever its temperatures are.
            flip: Direction in which the network sees it flipped; the probabilities are then of the flipped image.
            flip_before: How many steps of the geometry come after the flip.

        Raises:
            SizeError: The network cannot take what the image becomes.
            UnsupportedError: The engine or the network returns labels.
        """
        self.require_scores()
        prepared = self.prepare(image, channel_order, flip=flip, flip_before=flip_before)
        return self._scores(self.infer(prepared), prepared, raw=raw)

    def labels_and_scores(
        self, image: NDArray[np.uint8], channel_order: ChannelOrder, *, raw: bool = False
    ) -> tuple[NDArray[np.uint8 | np.uint16], NDArray[np.float32]]:
        """What `labels` and `scores` return, of one run of the engine; arguments and errors as for `scores`."""
        self.require_scores()
        prepared = self.prepare(image, channel_order)
        output = self.infer(prepared)
        return self.decide(output, prepared), self._scores(output, prepared, raw=raw)

    def logits(self, output: NDArray[Any], prepared: Prepared) -> NDArray[np.float32]:
        """What the network returns for each pixel of the image, (C, H, W): logits or probabilities.

        Args:
            output: What `infer` returned.
            prepared: What it was given.
        """
        found = self._resized(output, prepared, sigmoid=False, activated=True)
        return found if prepared.frame is None else prepared.frame.around(found)

    def _scores(self, output: NDArray[Any], prepared: Prepared, *, raw: bool) -> NDArray[np.float32]:
        """Probabilities (C, H, W) from the engine's output."""
        found = probabilities(
            output,
            partial(self._resized, prepared=prepared),
            () if raw else self._temperatures,
            sigmoid=self._spec.output == "sigmoid",
            activated=self._spec.returns == "probabilities",
        )
        return found if prepared.frame is None else prepared.frame.around(found, first=1)

    def _resized(
        self, output: NDArray[Any], prepared: Prepared, *, sigmoid: bool, activated: bool
    ) -> NDArray[np.float32]:
        how = {"align_corners": self._spec.align_corners, "sigmoid": sigmoid, "activated": activated}
        if self._spec.slide is None or self._spec.slide.blend != "mean":
            return upsample.scores(self._merged(output, prepared), prepared.steps, **how)
        return tiling.scores(output, self._windows(prepared), prepared.steps, **how)

    def require_scores(self) -> None:
        """Make sure that there are scores.

        Raises:
            UnsupportedError: The engine or the network returns labels.
        """
        if self._decided:
            raise UnsupportedError("this engine returns labels, not scores: export the network without its postprocess")
        if self._spec.returns == "labels":
            raise UnsupportedError(
                "this network returns labels, of which no scores are known: export it without the argmax or the "
                "comparison that it ends in"
            )

    def require_views(self) -> None:
        """Make sure that images can be seen in other ways than the package's own.

        Raises:
            UnsupportedError: The engine prepares images itself.
        """
        if "pre" in self._embed:
            raise UnsupportedError(
                "this engine prepares images itself, so that it sees them in one way: export the network without its "
                "preprocess (--embed) for test-time augmentation"
            )

    @property
    def _how(self) -> dict[str, bool]:
        """How what the network returns is resized and taken."""
        return {"align_corners": self._spec.align_corners, "activated": self._spec.returns == "probabilities"}

    def prepare(
        self,
        image: NDArray[np.uint8],
        channel_order: ChannelOrder,
        *,
        flip: Flip | None = None,
        flip_before: int = 0,
    ) -> Prepared:
        """What the engine is given for an image uint8 (H, W, 3), and the way back.

        Args:
            image: uint8 (H, W, 3).
            channel_order: Order of its channels.
            flip: As for `scores`.
            flip_before: As for `scores`.

        Raises:
            SizeError: The engine prepares images itself, and cannot take what this one becomes.
        """
        if "pre" not in self._embed:
            return prepare(image, self._spec, channel_order=channel_order, flip=flip, flip_before=flip_before)
        pixels = as_image(image)
        height, width = prepared_size(self._spec, *pixels.shape[:2])
        if not self._sizes.allows(height, width):
            raise SizeError(f"the image becomes {height}x{width} pixels, this network takes {self._sizes}")
        rgb: Any = np.ascontiguousarray(pixels if channel_order == "rgb" else pixels[:, :, ::-1])
        return Prepared(rgb, (rgb.shape[0], rgb.shape[1]), inverse_steps(self._spec, rgb.shape[:2]))

    def infer(self, prepared: Prepared) -> NDArray[Any]:
        """The engine's output: logits (N, K, h, w), of each window one, or labels.

        Raises:
            SizeError: The network cannot take what the image becomes.
        """
        if "pre" in self._embed:
            return self.run(prepared.tensor)
        if self._spec.slide is None:
            self._require_size(prepared)
            return self.see(prepared.tensor)
        batches = self._windows(prepared).batches(prepared.tensor, self.batch)
        return np.concatenate([self.see(batch) for batch in batches])

    def see(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """What the engine returns; the mean over the input's flips, where it is asked for."""
        total = self.run(tensor)
        if not self._mirror:
            return total
        ways = [combinations(self._mirror, count) for count in range(1, len(self._mirror) + 1)]
        flips = [tuple(_AXES[flip] for flip in flips) for way in ways for flips in way]
        for axes in flips:
            total = total + np.flip(self.run(np.ascontiguousarray(np.flip(tensor, axes))), axes)
        found: NDArray[Any] = total / np.float32(len(flips) + 1)
        return found

    def run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """The engine alone."""
        if self._open is None:
            raise BackendError("the engine is closed: open the package again")
        outputs = self._open.run({self._image: tensor})
        if self._logits not in outputs:
            raise BackendError(f"the engine has no output {self._logits!r}, it returns {', '.join(outputs)}")
        return outputs[self._logits]

    def decide(self, output: NDArray[Any], prepared: Prepared) -> NDArray[np.uint8 | np.uint16]:
        """Labels (H, W) at the image's size from what `infer` returned for it.

        Raises:
            BackendError: The engine returns labels of classes that are not known.
        """
        labels = self._decide(output, prepared)
        return labels if prepared.frame is None else prepared.frame.around(labels)

    def _decide(self, output: NDArray[Any], prepared: Prepared) -> NDArray[np.uint8 | np.uint16]:
        if self._decided:
            return self.labels_at(output, prepared.steps)
        threshold = self._spec.threshold if self._spec.output == "sigmoid" else None
        if self._spec.slide is None or self._spec.slide.blend != "mean":
            return upsample.labels(self._merged(output, prepared), prepared.steps, threshold=threshold, **self._how)
        return tiling.labels(output, self._windows(prepared), prepared.steps, threshold=threshold, **self._how)

    def _merged(self, logits: NDArray[Any], prepared: Prepared) -> NDArray[np.float32]:
        """(C, h, w) of the whole input."""
        slide = self._spec.slide
        return logits[0] if slide is None else tiling.merge(logits, self._windows(prepared), slide)

    def _require_size(self, prepared: Prepared) -> None:
        height, width = prepared.tensor.shape[2:]
        if not self._sizes.allows(height, width):
            raise SizeError(f"the image becomes {height}x{width} pixels, this network takes {self._sizes}")

    def _windows(self, prepared: Prepared) -> tiling.Windows:
        assert self._spec.slide is not None  # asked by the callers
        height, width = prepared.tensor.shape[2:]
        return tiling.plan((height, width), self._spec.slide, self._sizes)

    def labels_at(self, labels: NDArray[Any], steps: Sequence[Step]) -> NDArray[np.uint8 | np.uint16]:
        """The labels that an engine returned, at the image's size.

        Args:
            labels: Of one image.
            steps: From their size to the image's.

        Raises:
            BackendError: They are of classes that are not known.
        """
        count = len(self._spec.classes)
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= count:
            raise BackendError(f"the engine returns the labels {low} to {high}, but {count} classes are known of it")
        if "pre" in self._embed:
            return labels.astype(label_dtype(count), copy=False)
        return resize_labels(labels.reshape(labels.shape[-2:]), steps, count)
