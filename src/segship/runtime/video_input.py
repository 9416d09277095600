"""Frames of a video file, a camera or a network stream, with their times; PyAV reads them."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError, MissingExtraError
from segship.runtime.video_names import CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Clip", "Frame", "Selection", "load_av"]

_LIVE = ("rtsp://", "rtsps://", "rtmp://", "udp://", "rtp://", "srt://", "tcp://")
_TRIES, _PAUSE, _TIMEOUT = 10, 1.0, 10.0  # of a lost stream: how often, and seconds
_MOST_BROKEN = 1000  # packets one after the other


def load_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise MissingExtraError("Video", "video", "av") from error
    av.logging.set_level(None)  # a broken frame is counted, not printed
    return av


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        image: uint8 (H, W, 3), RGB, upright.
        time: Seconds from the beginning of what is read, exact.
    """

    image: NDArray[np.uint8]
    time: Fraction


@dataclass(frozen=True)
class Selection:
    """Which frames are taken.

    Attributes:
        every: Every N-th.
        begin: Seconds from the beginning of the video on.
        end: Seconds until which; None: to its end.
    """

    every: int = 1
    begin: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or self.begin < 0 or (self.end is not None and self.end <= self.begin):
            raise InputError(
                f"every {self.every} frames, from second {self.begin:g} until {self.end}: expected a number from 1 on, "
                "and an end after the beginning"
            )

    def is_before(self, at: Fraction) -> bool:
        """Return whether a time is before the beginning."""
        return at < _exact(self.begin)

    def is_over(self, at: Fraction) -> bool:
        """Return whether a time is at the end or after it."""
        return self.end is not None and at >= _exact(self.end)


def _exact(seconds: float) -> Fraction:
    """Seconds as they were written: 0.1 is a tenth."""
    return Fraction(seconds).limit_denominator(10**6)


class Clip:
    """An opened video, camera or stream.

    Args:
        name: Path, ``camera:0`` or URL.
        selection: Which frames are taken.

    Attributes:
        name: As given.
        live: Whether it is a camera or a stream, which has no end.
        broken: Packets that could not be decoded so far.
        reconnected: How often a lost stream was opened again so far.

    Raises:
        InputError: It cannot be opened, or holds no video.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, name: str, selection: Selection | None = None) -> None:
        self._av = load_av()
        self._failures = (self._av.FFmpegError, OSError, ValueError)
        self.name, self._selection = name, selection or Selection()
        self.broken = self.reconnected = 0
        self.live = name.startswith((CAMERA, *_LIVE))
        self._container = self._open()

    def close(self) -> None:
        """Close it; twice does no harm."""
        self._container.close()

    @property
    def video(self) -> Any:
        """PyAV's video stream."""
        return self._container.streams.video[0]

    @property
    def audio(self) -> Any:
        """PyAV's audio stream; None: there is none, or the sound of a live stream, which is not kept."""
        return None if self.live or not self._container.streams.audio else self._container.streams.audio[0]

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures that are taken."""
        return (item for item in self.items() if isinstance(item, Frame))

    def items(self) -> Iterator[Frame | Any]:
        """Yield the pictures that are taken, and PyAV's packets of the sound between them.

        Raises:
            InputError: Nothing of it can be decoded.
        """
        number = 0
        for item in self._all():
            if not isinstance(item, Frame):
                yield item
                continue
            if self._selection.is_over(item.time):
                break
            if not self._selection.is_before(item.time):
                if number % self._selection.every == 0:
                    yield item
                number += 1
        if number == 0:
            raise InputError(f"{self.name} holds no frame that can be decoded{self._between()}")

    def _all(self) -> Iterator[Frame | Any]:
        """All frames and sound; a live stream that was lost goes on where it is back."""
        last, offset = Fraction(0), Fraction(0)
        while True:
            for item in self._played():
                if isinstance(item, Frame) and self.live:
                    last = item.time + offset
                    yield Frame(item.image, last)
                else:
                    yield item
            if not self.live or not (lost := self._again()):
                return
            offset = last + lost

    def _between(self) -> str:
        chosen = self._selection
        whole = chosen.begin == 0 and chosen.end is None
        return "" if whole else f" from second {chosen.begin:g} to {'its end' if chosen.end is None else chosen.end}"

    def _open(self) -> Any:
        name, options = self.name, {}
        if name.startswith(CAMERA):
            name, kind = f"/dev/video{name.removeprefix(CAMERA)}", "v4l2"
        else:
            kind = None
        if name.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        try:
            container = self._av.open(name, format=kind, options=options, timeout=_TIMEOUT if self.live else None)
        except self._failures as error:
            raise InputError(f"{self.name} cannot be opened as a video: {_reason(error)}") from None
        if not container.streams.video:
            container.close()
            raise InputError(f"{self.name} holds no video")
        container.streams.video[0].thread_type = "SLICE"  # threads by frame lose a sound frame beside a broken one
        return container

    def _again(self) -> Fraction:
        """Open a stream that was lost; the seconds that went by, 0 where it stays away."""
        begin = time.monotonic()
        self._container.close()
        for _ in range(_TRIES):
            time.sleep(_PAUSE)
            try:
                self._container = self._open()
            except InputError:
                continue
            self.reconnected += 1
            return Fraction(time.monotonic() - begin).limit_denominator(1000)
        return Fraction(0)

    def _played(self) -> Iterator[Frame | Any]:
        """What comes until the end, or until the connection is lost."""
        first: Fraction | None = None
        kinds = [self.video] if self.audio is None else [self.video, self.audio]
        for packet in self._packets(kinds):
            if packet.stream.type == "audio":
                yield packet
                continue
            for frame in self._decoded(packet):
                at = Fraction(frame.pts or 0) * frame.time_base
                first = at if first is None else first
                yield Frame(_upright(frame), at - first if self.live else at - self._start())

    def _start(self) -> Fraction:
        """When the video begins, by its own clock."""
        start = self.video.start_time
        return Fraction(0) if start is None else start * self.video.time_base

    def _packets(self, streams: list[Any]) -> Iterator[Any]:
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._failures:  # a file cut off, or a connection lost: what was there was read
                self.broken += not self.live
                return
            yield packet

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = [frame for frame in packet.decode() if isinstance(frame, self._av.VideoFrame)]
        except self._failures as error:
            if getattr(error, "errno", None) == errno.ENOMEM:
                raise
            self.broken += 1
            if self.broken > _MOST_BROKEN:
                raise InputError(f"{self.name}: more than {_MOST_BROKEN} packets cannot be decoded") from None
            return []
        return [frame for frame in frames if not getattr(frame, "is_corrupt", False) or self._count()]

    def _count(self) -> bool:
        """Count a frame that is damaged; what there is of it is taken, so that no time is missing."""
        self.broken += 1
        return True


def _upright(frame: Any) -> NDArray[np.uint8]:
    """The picture as it is meant to be seen: RGB, 8 bits, turned as the file says."""
    image: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _reason(error: BaseException) -> str:
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(told).split())
