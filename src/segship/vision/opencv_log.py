"""OpenCV's own log, which repeats on standard error what an error says."""

from __future__ import annotations

import threading

import cv2

__all__ = ["SILENCE"]

_LOG = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 has its functions there, OpenCV 4 at the top
_SILENT = 0


class _Silence:
    """While any thread is inside, OpenCV does not log what the caller is told by an error anyway.

    Its log level is process-wide: the first thread in keeps the level, the last one out restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._level = _LOG.getLogLevel()
                _LOG.setLogLevel(_SILENT)
            self._inside += 1

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _LOG.setLogLevel(self._level)


SILENCE = _Silence()
"""A context in which OpenCV logs nothing."""
