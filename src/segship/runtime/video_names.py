"""Names that are those of videos."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CAMERA", "is_video"]

_SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()  # noqa: SIM905
)
CAMERA = "camera:"
"""What the name of a camera begins with; its number follows."""


def is_video(name: str) -> bool:
    """Return whether ``name`` is called like a video file, a camera (``camera:0``) or a stream (``rtsp://…``)."""
    return (
        name.startswith(CAMERA) or "://" in name or (Path(name).suffix.lower() in _SUFFIXES and not Path(name).is_dir())
    )
