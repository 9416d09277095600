"""The torch-free SDK: open a package, get masks."""

from __future__ import annotations

from segship.runtime.package import Package
from segship.runtime.predict import predict
from segship.runtime.segmentor import Segmentor

__all__ = ["Package", "Segmentor", "predict"]
