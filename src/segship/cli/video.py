"""``segship predict`` of a video, a camera or a stream."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["label_video"]

_TITLE = "segship"
_ESCAPE = 27


def label_video(
    package: Sequence[Path],
    clips: Sequence[str],
    to: Path,
    *,
    masks: Path | None = None,
    every: int = 1,
    begin: float = 0.0,
    end: float | None = None,
    show: bool = False,
    opacity: float = 0.5,
    **opened: Any,
) -> None:
    """Label a video and tell of it.

    Args:
        package: What is opened; several are an ensemble.
        clips: The video, alone.
        to: The overlay, or masks, as of `segship.runtime.video.predict_video`.
        masks: Masks besides.
        every: Of how many frames one is taken.
        begin: Second from which.
        end: Second until which.
        show: Show it in a window; Escape ends it.
        opacity: Of the masks over the frames.
        opened: How the package is opened, as of `segship.Segmentor`.

    Raises:
        InputError: There are images beside it, or it cannot be read or written.
    """
    from segship.cli import output
    from segship.runtime import Segmentor
    from segship.runtime.video import predict_video
    from segship.runtime.video_input import Selection

    if len(clips) != 1:
        raise InputError(f"{len(clips)} images and videos are given: a video is labelled alone, one at a time")
    selection = Selection(every, begin, end)
    with Segmentor(tuple(package), **opened) as segmentor, _window(show=show) as shown:
        targets = [path for path in (to, masks) if path is not None]
        result = predict_video(segmentor, clips[0], targets, selection=selection, opacity=opacity, shown=shown)
    if result.broken:
        output.warn(f"{clips[0]}: {result.broken} broken pieces were passed over")
    if result.reconnected:
        output.warn(f"{clips[0]}: the stream was lost {result.reconnected} times and opened again")
    output.say(f"{result.frames} frame{'s' * (result.frames != 1)} -> {', '.join(map(str, targets))}")


@contextlib.contextmanager
def _window(*, show: bool) -> Iterator[Callable[[NDArray[np.uint8]], None] | None]:
    """What shows a picture in a window."""
    if not show:
        yield None
        return
    import cv2

    def picture(image: NDArray[np.uint8]) -> None:
        try:
            cv2.imshow(_TITLE, image[:, :, ::-1])
            key = cv2.waitKey(1)
        except cv2.error:
            raise InputError(
                "--show needs a display and an OpenCV with windows: pip install opencv-python in place of "
                "opencv-python-headless"
            ) from None
        if key == _ESCAPE:
            raise KeyboardInterrupt

    yield picture
    with contextlib.suppress(cv2.error):
        cv2.destroyAllWindows()
