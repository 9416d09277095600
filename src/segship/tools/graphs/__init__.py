"""One file that holds the whole inference - windows, resize, decision - for programs that bring nothing of their own.

What MMSegmentation's ``pytorch2onnx.py`` and ``pytorch2torchscript.py`` wrote. A package of ``segship export`` is
faster and takes every size in slide mode, too; its graph leaves out what `segship.Segmentor` does.
"""

from __future__ import annotations

from segship.tools.graphs.export import ExportedGraph, export_onnx, export_torchscript

__all__ = ["ExportedGraph", "export_onnx", "export_torchscript"]
