"""From a decoded image to labels or scores, through any Session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import SizeError
from segship.vision import tiling, upsample
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.spec import ModelSpec, SizeRule
    from segship.vision.preprocess import ChannelOrder

__all__ = ["Pipeline"]


class Pipeline:
    """Preprocess, run, resize and decide; window by window where the network slides.

    Args:
        session: An opened engine, or the eager network as one.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        image: Name of the session's input.
        logits: Name of its output.
        batch: Most windows in one run; 1 where the engine's batch is fixed, and on a processor, where it is fastest.
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
    ) -> None:
        self._session = session
        self._spec = spec
        self._sizes = sizes
        self._image, self._logits = image, logits
        self._batch = batch

    def labels(self, image: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.uint8 | np.uint16]:
        """Labels (H, W) of an image uint8 (H, W, 3).

        Raises:
            SizeError: The network cannot take what the image becomes.
        """
        threshold = self._spec.threshold if self._spec.output == "sigmoid" else None
        labels: NDArray[np.uint8 | np.uint16] = self._decide(
            image, channel_order, upsample.labels, tiling.labels, threshold=threshold
        )
        return labels

    def scores(self, image: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.float32]:
        """Probabilities (C, H, W) of an image uint8 (H, W, 3).

        Raises:
            SizeError: The network cannot take what the image becomes.
        """
        sigmoid = self._spec.output == "sigmoid"
        scores: NDArray[np.float32] = self._decide(
            image, channel_order, upsample.scores, tiling.scores, sigmoid=sigmoid
        )
        return scores

    def _decide(self, image: NDArray[np.uint8], order: ChannelOrder, whole: Any, sliding: Any, **options: Any) -> Any:
        prepared = prepare(image, self._spec, channel_order=order)
        options["align_corners"] = self._spec.align_corners
        height, width = prepared.tensor.shape[2:]
        if self._spec.slide is None:
            if not self._sizes.allows(height, width):
                raise SizeError(f"the image becomes {height}x{width} pixels, this network takes {self._sizes}")
            return whole(self._run(prepared.tensor)[0], prepared.steps, **options)
        windows = tiling.plan((height, width), self._spec.slide, self._sizes)
        logits = np.concatenate([self._run(batch) for batch in windows.batches(prepared.tensor, self._batch)])
        return sliding(logits, windows, prepared.steps, **options)

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._session.run({self._image: tensor})[self._logits]
