"""Names that are those of videos."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CAMERA", "is_video"]

_SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()  # noqa: SIM905
)
_WEB = frozenset({"http", "https"})
_STREAMS = _WEB | frozenset("rtsp rtsps rtmp rtmps rtp srtp srt udp tcp mms mmsh".split())  # noqa: SIM905
CAMERA = "camera:"
"""What the name of a camera begins with; its number follows."""


def is_video(name: str) -> bool:
    """Return whether ``name`` is called like a video file, a camera (``camera:0``) or a stream (``rtsp://…``).

    Other addresses are those of object stores, as is one of the web that ends as images do.
    """
    scheme, separator, rest = name.partition("://")
    suffix = Path(rest if separator else name).suffix.lower()
    if separator and scheme.lower() in _STREAMS:
        from segship.vision.formats import IMAGE_SUFFIXES

        return not (scheme.lower() in _WEB and suffix in IMAGE_SUFFIXES)
    return name.startswith(CAMERA) or (suffix in _SUFFIXES and not Path(name).is_dir())
