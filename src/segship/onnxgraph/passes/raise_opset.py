"""Bring a graph of an older opset to the one that operators which are added to it need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import version_converter

from segship.core.errors import UnsupportedError, one_line
from segship.onnxgraph.conventions import OPSET

if TYPE_CHECKING:
    import onnx

__all__ = ["raise_opset"]

_STANDARD = {"", "ai.onnx"}


def raise_opset(model: onnx.ModelProto, least: int) -> bool:
    """Convert a model to the opset that graphs are written in, where its own is older than ``least``.

    Args:
        model: The model; changed in place.
        least: The first opset that will do.

    Returns:
        Whether it was converted.

    Raises:
        UnsupportedError: ONNX cannot convert it.
    """
    found = next(each.version for each in model.opset_import if each.domain in _STANDARD)
    if found >= least:
        return False
    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise UnsupportedError(
            f"the graph is of opset {found}, what is added to it needs {least}, and it cannot be converted: "
            f"{one_line(error)}; export it again with opset {OPSET}"
        ) from error
    model.CopyFrom(converted)
    return True
