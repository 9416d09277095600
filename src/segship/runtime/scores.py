"""What an opened package tells of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.vision import confidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.runtime.average import AveragedPipeline
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.segmentor import ChannelOrder, Image, Mask
    from segship.vision.confidence import ConfidenceKind

__all__ = ["ScoresOfImages"]


class ScoresOfImages:
    """The part of a Segmentor that gives scores; see `segship.Segmentor`."""

    _pipeline: Pipeline | AveragedPipeline

    @property
    def spec(self) -> ModelSpec:
        """The input that the network expects, and the meaning of the labels."""
        raise NotImplementedError

    def _pixels(self, image: Image, channel_order: ChannelOrder | None) -> tuple[NDArray[Any], ChannelOrder]:
        """The image as the pipeline takes it, and the order of its channels."""
        raise NotImplementedError

    def scores(
        self, image: Image, *, channel_order: ChannelOrder | None = None, raw: bool = False
    ) -> NDArray[np.float32]:
        """Compute the probability of each class at each pixel.

        Where the package was exported with ``--calibration`` and ``--labels``, they are calibrated: of the pixels with
        probability 0.8, about eight of ten are right. The mask is decided without that.

        Args:
            image: As for the mask.
            channel_order: As for the mask.
            raw: The network's own probabilities, whatever the package's temperatures are.

        Returns:
            float32 (C, H, W) in 0-1: softmax over C; for a binary network with one output, (1, H, W).

        Raises:
            UnsupportedError: The package or its network returns labels alone.
        """
        return self._pipeline.scores(*self._pixels(image, channel_order), raw=raw)

    def mask_and_scores(
        self, image: Image, *, channel_order: ChannelOrder | None = None, raw: bool = False
    ) -> tuple[Mask, NDArray[np.float32]]:
        """Make the mask and the scores of an image at once, where both are needed.

        Args:
            image: As for the mask.
            channel_order: As for the mask.
            raw: As for `scores`.

        Returns:
            Labels (H, W), and float32 (C, H, W) in 0-1.

        Raises:
            UnsupportedError: The package or its network returns labels alone.
        """
        return self._pipeline.labels_and_scores(*self._pixels(image, channel_order), raw=raw)

    def confidence(
        self,
        image: Image,
        kind: ConfidenceKind = "margin",
        *,
        channel_order: ChannelOrder | None = None,
        raw: bool = False,
    ) -> NDArray[np.float32]:
        """Measure how sure the network is of each pixel.

        Args:
            image: As for the mask.
            kind: ``"probability"``: the greatest of the pixel; ``"margin"``: that less the next; ``"entropy"``: one
                less the entropy, as a share of the most there can be. In each, 1 is sure.
            channel_order: As for the mask.
            raw: As for `scores`.

        Returns:
            float32 (H, W) in 0-1.

        Raises:
            InputError: There is no such measure.
            UnsupportedError: The package or its network returns labels alone.
        """
        confidence.require_kind(kind)
        scores = self.scores(image, channel_order=channel_order, raw=raw)
        return confidence.confidence(scores, kind, sigmoid=self.spec.output == "sigmoid")

    def require_scores(self) -> None:
        """Make sure that `scores` can be had, before there is an image.

        Raises:
            UnsupportedError: The package or its network returns labels alone.
        """
        self._pipeline.require_scores()
