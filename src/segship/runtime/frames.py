"""The masks of frames that come one after the other, as those of a video."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from segship.runtime.overlap import ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from segship.runtime.average import AveragedPipeline
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.segmentor import ChannelOrder, Image, Mask

__all__ = ["MasksOfFrames"]


class MasksOfFrames:
    """The part of a Segmentor that labels streams; see `segship.Segmentor`."""

    _pipeline: Pipeline | AveragedPipeline

    def _pixels(self, image: Image, channel_order: ChannelOrder | None) -> tuple[NDArray[Any], ChannelOrder]:
        """The image as the pipeline takes it, and the order of its channels."""
        raise NotImplementedError

    def stream(
        self, frames: Iterable[Image] | str | os.PathLike[str], *, channel_order: ChannelOrder | None = None
    ) -> Iterator[Mask]:
        """Make the mask of each frame while the next ones are read and labelled in threads of their own.

        At most two frames and two masks wait, however long the stream is.

        Args:
            frames: Images, each as for the mask; or the path of a video, ``camera:0``, or a URL as ``rtsp://…``, which
                PyAV reads (``segship[video]``).
            channel_order: As for the mask.

        Returns:
            An iterator over the labels (H, W) of each frame, at its own size.

        Raises:
            InputError: A frame cannot be used, or the video cannot be read.
        """
        with contextlib.ExitStack() as stack:
            images: Iterable[Image] = _frames_of(frames, stack) if isinstance(frames, (str, os.PathLike)) else frames
            order: ChannelOrder | None = "rgb" if isinstance(frames, (str, os.PathLike)) else channel_order
            pixels = stack.enter_context(contextlib.closing(ahead(self._pixels(image, order) for image in images)))
            masks = (self._pipeline.labels(*one) for one in pixels)
            yield from stack.enter_context(contextlib.closing(ahead(masks)))


def _frames_of(name: str | os.PathLike[str], stack: contextlib.ExitStack) -> Iterator[Image]:
    """The frames of a video, which is closed with ``stack``."""
    from segship.runtime.video_input import Clip

    clip = Clip(os.fspath(name))
    stack.callback(clip.close)
    return (frame.image for frame in clip.frames())
