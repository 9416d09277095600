"""Frames a second of a video, from file to overlay, beside those of the engine alone.

::

    python benchmarks/video.py PACKAGE CLIP

Decoding, labelling and encoding happen at the same time, so that the slowest of them decides: 0.95 of the engine's own
rate, or more, is what is wanted where the engine is the slowest. The engine alone is timed on the clip's own frames in
memory, before and after the video, which a busy machine makes equal to the same degree: one frame at a time, and as
many as `Segmentor.batch` takes.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import segship
from segship.runtime.video import predict_video
from segship.runtime.video_input import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FRAMES = 60


def frames_of(name: str) -> list[NDArray[np.uint8]]:
    """The first frames, decoded."""
    clip = Clip(name)
    frames = [frame.image for frame in itertools.islice(clip.frames(), _FRAMES)]
    clip.close()
    return frames


def rates_alone(segmentor: segship.Segmentor, frames: list[NDArray[np.uint8]]) -> tuple[float, float]:
    """Masks a second of frames in memory: one at a time, and many."""
    segmentor.batch(frames)  # opens the engine for many
    begin = time.perf_counter()
    for frame in frames:
        segmentor(frame)
    between = time.perf_counter()
    segmentor.batch(frames)
    return len(frames) / (between - begin), len(frames) / (time.perf_counter() - between)


def measure(segmentor: segship.Segmentor, name: str, to: Path) -> tuple[float, float, float]:
    """Frames a second of the engine one at a time, of the engine many at a time, and from file to overlay."""
    frames = frames_of(name)
    before = rates_alone(segmentor, frames)
    begin = time.perf_counter()
    result = predict_video(segmentor, name, [to])
    video = result.frames / (time.perf_counter() - begin)
    one, many = ((first + second) / 2 for first, second in zip(before, rates_alone(segmentor, frames), strict=True))
    return one, many, video


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("package", type=Path)
    parser.add_argument("clip")
    parser.add_argument("--threads", type=int, help="of the engine")
    given = parser.parse_args()
    with segship.Segmentor(given.package, threads=given.threads) as segmentor, tempfile.TemporaryDirectory() as folder:
        one, many, video = measure(segmentor, given.clip, Path(folder) / "overlay.mp4")
    print(
        f"engine alone {one:.1f} frames/s one at a time, {many:.1f} many; video {video:.1f} frames/s: "
        f"{video / one:.3f} and {video / many:.3f} of it"
    )


if __name__ == "__main__":
    main()
