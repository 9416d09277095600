"""The notes that an ONNX file carries for people and programs, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["metadata_of", "set_metadata"]


def metadata_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of a model."""
    return {entry.key: entry.value for entry in model.metadata_props}


def set_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of a model, in place."""
    helper.set_model_props(model, dict(metadata))
