"""Masks of videos: frames are decoded, labelled and written at the same time."""

from __future__ import annotations

import contextlib
import json
import os
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.core.errors import InputError
from segship.core.files import require_apart
from segship.formats.masks import Labelled, Meaning
from segship.formats.masks.rle import named
from segship.runtime.overlap import ahead
from segship.runtime.video_input import Clip, Frame, Selection, load_av
from segship.vision.draw import overlay
from segship.vision.palette import write_mask_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.runtime.segmentor import Segmentor

__all__ = ["VideoResult", "predict_video"]

_CLOCK = Fraction(1, 90000)  # of live streams: every usual frame rate is a whole number of its ticks
_MOST_WAITING = 1000
_MOST_GREY = 256


class VideoResult:
    """What became of a video.

    Attributes:
        frames: How many were labelled.
        broken: Packets that could not be decoded.
        reconnected: How often a lost stream was opened again.
    """

    def __init__(self) -> None:
        self.frames = self.broken = self.reconnected = 0


def predict_video(
    segmentor: Segmentor,
    source: str | os.PathLike[str],
    to: Sequence[str | os.PathLike[str]],
    *,
    selection: Selection | None = None,
    opacity: float = 0.5,
    shown: Callable[[NDArray[np.uint8]], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> VideoResult:
    """Label each frame of a video, and write what ``to`` names.

    Args:
        segmentor: Makes the masks.
        source: Path of a video, ``camera:0``, or a URL.
        to: Results, by their names: ``.mp4``, ``.mov``, ``.webm``: the masks over the frames, with the sound;
            ``.mkv``: the labels as a lossless grey video (FFV1); ``.jsonl``: a line with the run lengths of each frame;
            else a folder, which gets the label map of each frame as ``000001.png``, and ``index.jsonl`` with the times.
        selection: Which frames; None: all.
        opacity: Of the masks over the frames.
        shown: Called with each frame with its mask drawn over it.
        progress: Called with the number of frames that are done.

    Returns:
        What became of it. After an interruption the files are whole, up to the frame that was done.

    Raises:
        InputError: The video cannot be read, or a result not be written.
        MissingExtraError: PyAV is not installed.
    """
    load_av()
    result = VideoResult()
    targets = [Path(path) for path in to]
    require_apart(targets, [Path(os.fspath(source))])
    clip = Clip(os.fspath(source), selection)
    with contextlib.ExitStack() as stack:
        stack.callback(clip.close)
        stack.callback(_note, result, clip)
        writers = []
        for path in targets:
            writers.append(_writer(path, segmentor, clip, selection, opacity))
            stack.push(writers[-1])
        labelled = stack.enter_context(contextlib.closing(ahead(_labelled(segmentor, clip))))
        for item, mask in labelled:
            for writer in writers:
                writer.add(item, mask)
            if mask is None:
                continue
            if shown is not None:
                shown(overlay(item.image, mask, segmentor.spec.palette, opacity))
            result.frames += 1
            if progress is not None:
                progress(result.frames)
    return result


def _note(result: VideoResult, clip: Clip) -> None:
    result.broken, result.reconnected = clip.broken, clip.reconnected


def _labelled(segmentor: Segmentor, clip: Clip) -> Iterator[tuple[Any, NDArray[Any] | None]]:
    """Frames with their masks, and packets of sound without; the frames are decoded ahead.

    Of a file several frames are labelled at a time, which makes the most of a processor; of what is live one, which is
    seen soonest.
    """

    def label(opened: Segmentor, part: tuple[list[Any], Frame | None]) -> tuple[list[Any], Any, NDArray[Any] | None]:
        sounds, frame = part
        return sounds, frame, None if frame is None else opened(frame.image, channel_order="rgb")

    with contextlib.ExitStack() as stack:
        parts = stack.enter_context(contextlib.closing(ahead(_with_sound(clip.items()))))
        if clip.live:
            made: Iterator[Callable[[], Any]] = (partial(label, segmentor, part) for part in parts)
        else:
            made = stack.enter_context(contextlib.closing(segmentor.for_each(label, parts, many=True)))
        for result in made:
            sounds, frame, mask = result()
            yield from ((packet, None) for packet in sounds)
            if mask is not None:
                yield frame, mask


def _with_sound(items: Iterator[Any]) -> Iterator[tuple[list[Any], Frame | None]]:
    """Each frame with the packets of sound that come before it."""
    sounds: list[Any] = []
    for item in items:
        if isinstance(item, Frame):
            yield sounds, item
            sounds = []
        else:
            sounds.append(item)
    if sounds:
        yield sounds, None


class _Masks:
    """A folder with the label map of each frame; or a line for each in a file."""

    def __init__(self, path: Path, segmentor: Segmentor) -> None:
        self._path, self._meaning = path, Meaning(segmentor.classes, segmentor.spec.palette)
        self._lines = path.suffix.lower() == ".jsonl"
        self._number = 0
        where = path if self._lines else path / "index.jsonl"
        if not self._lines and path.is_dir() and any(path.iterdir()) and not where.is_file():
            raise InputError(f"{path} is a folder with other files: choose another for the masks of a video")
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
            self._file = where.open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{where} cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: Any, mask: NDArray[Any] | None) -> None:
        """Write the mask of a frame, with its time."""
        if mask is None:
            return
        self._number += 1
        noted: dict[str, Any] = {"frame": self._number, "time": float(item.time)}
        if self._lines:
            noted |= {"height": mask.shape[0], "width": mask.shape[1]}
            noted["rle"] = named(Labelled(self._path.name, mask, self._meaning))
        else:
            noted["file"] = f"{self._number:06d}.png"
            write_mask_png(self._path / noted["file"], mask, self._meaning.palette)
        self._file.write(json.dumps(noted) + "\n")
        self._file.flush()


class _Video:
    """A video of the masks over the frames, or of the labels as grey values.

    It is written beside its name, and gets it when it is closed, interrupted or not.
    """

    def __init__(
        self, path: Path, segmentor: Segmentor, clip: Clip, selection: Selection | None, opacity: float
    ) -> None:
        self._av, self._path, self._opacity = load_av(), path, opacity
        self._labels = path.suffix.lower() == ".mkv"
        if self._labels and len(segmentor.classes) > _MOST_GREY:
            raise InputError(f"{path}: a grey video holds labels up to 255, the network has {len(segmentor.classes)}")
        self._palette, self._clip, self._stream, self._begin = segmentor.spec.palette, clip, None, Fraction(0)
        self._chosen = selection or Selection()
        self._sound: Any = None
        self._waiting: list[Any] = []  # sound that comes before the first frame
        self._last = -1
        self._clock = _CLOCK if clip.live else clip.video.time_base
        self._partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._out = self._av.open(str(self._partial), "w")
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be written as a video: {getattr(error, 'strerror', None) or error}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._stream is not None:
                self._out.mux(self._stream.encode(None))
        finally:
            self._out.close()
            if self._stream is None:
                self._partial.unlink(missing_ok=True)
            else:
                self._partial.replace(self._path)

    def add(self, item: Any, mask: NDArray[Any] | None) -> None:
        """Encode a frame, or hand a packet of sound on."""
        if mask is None:
            self._add_sound(item)
            return
        picture = mask.astype(np.uint8) if self._labels else overlay(item.image, mask, self._palette, self._opacity)
        if self._stream is None:
            self._begin = item.time
            self._start(picture.shape[:2])
        assert self._stream is not None  # it was started
        if picture.shape[:2] != (self._stream.height, self._stream.width):
            raise InputError(
                f"{self._clip.name}: the frames change from {self._stream.height}x{self._stream.width} to "
                f"{picture.shape[0]}x{picture.shape[1]} pixels, which one video cannot hold: write a folder of masks"
            )
        picture = np.ascontiguousarray(picture)  # which the frame holds, and does not copy
        frame = self._av.VideoFrame.from_numpy_buffer(picture, format="gray" if self._labels else "rgb24")
        frame.time_base = self._clock
        frame.pts = self._last = max(round((item.time - self._begin) / self._clock), self._last + 1)
        self._out.mux(self._stream.encode(frame))

    def _start(self, size: tuple[int, int]) -> None:
        codec = "ffv1" if self._labels else "libvpx-vp9" if self._path.suffix.lower() == ".webm" else self._h264()
        rate = self._clip.video.average_rate or 25
        stream = self._out.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = size
        # Half as many colours as pixels want even sides.
        stream.pix_fmt = "gray" if self._labels else "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.codec_context.time_base = stream.time_base = self._clock
        if codec == "libx264":  # slower presets make half as large files, of three times the processor's time
            stream.options = {"crf": "20", "preset": "ultrafast"}
        self._stream = stream
        if self._clip.audio is not None and not self._labels:
            with contextlib.suppress(
                self._av.FFmpegError, ValueError, OSError
            ):  # a sound that this format cannot hold is left out
                self._sound = self._out.add_stream_from_template(self._clip.audio)
        waiting, self._waiting = self._waiting, []
        for packet in waiting:
            self._add_sound(packet)

    def _h264(self) -> str:
        return "libx264" if "libx264" in self._av.codecs_available else "mpeg4"

    def _add_sound(self, packet: Any) -> None:
        """Sound from the first frame that was taken on, at its place beside the frames."""
        if self._stream is None and len(self._waiting) < _MOST_WAITING:
            self._waiting.append(packet)
            return
        if self._sound is None or packet.dts is None:
            return
        shift = round((self._begin + self._clip_start()) / packet.time_base)
        at = packet.dts - shift
        end = self._chosen.end
        if (at < 0 and self._chosen.begin) or (end is not None and at * packet.time_base > Fraction(end) - self._begin):
            return
        packet.pts, packet.dts = (packet.pts or packet.dts) - shift, at
        packet.stream = self._sound
        self._out.mux(packet)

    def _clip_start(self) -> Fraction:
        start = self._clip.video.start_time
        return Fraction(0) if start is None else start * self._clip.video.time_base


def _writer(
    path: Path, segmentor: Segmentor, clip: Clip, selection: Selection | None, opacity: float
) -> _Masks | _Video:
    if path.suffix.lower() in {".mp4", ".mov", ".m4v", ".webm", ".avi", ".mkv"}:
        return _Video(path, segmentor, clip, selection, opacity)
    return _Masks(path, segmentor)
