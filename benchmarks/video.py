"""Frames a second of a video, from file to overlay, beside those of the engine alone.

::

    python benchmarks/video.py PACKAGE CLIP

Decoding, labelling and encoding happen at the same time, so that the slowest of them decides: 0.95 of the engine's own
rate, or more, is what is wanted where the engine is the slowest. The engine alone is timed on the clip's own frames,
before and after the video, which a busy machine makes equal to the same degree.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import segship
from segship.runtime.video import predict_video
from segship.runtime.video_input import Clip

_FRAMES = 60


def rate_alone(segmentor: segship.Segmentor, name: str) -> float:
    """Masks a second of decoded frames in memory."""
    clip = Clip(name)
    frames = [frame.image for frame in itertools.islice(clip.frames(), _FRAMES)]
    clip.close()
    segmentor(frames[0])
    begin = time.perf_counter()
    for frame in frames:
        segmentor(frame)
    return len(frames) / (time.perf_counter() - begin)


def main() -> None:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("package", type=Path)
    parser.add_argument("clip")
    parser.add_argument("--threads", type=int, help="of the engine")
    given = parser.parse_args()
    with segship.Segmentor(given.package, threads=given.threads) as segmentor, tempfile.TemporaryDirectory() as folder:
        before = rate_alone(segmentor, given.clip)
        begin = time.perf_counter()
        result = predict_video(segmentor, given.clip, [Path(folder) / "overlay.mp4"])
        video = result.frames / (time.perf_counter() - begin)
        alone = (before + rate_alone(segmentor, given.clip)) / 2
    print(f"engine alone {alone:.1f} frames/s, video {video:.1f} frames/s: {video / alone:.3f} of it")


if __name__ == "__main__":
    main()
