"""float16: weights and arithmetic at half the width, inputs and outputs as they were."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from segship.core.errors import MissingExtraError
from segship.onnxgraph.metadata import metadata_of, set_metadata

if TYPE_CHECKING:
    import onnx

__all__ = ["float16"]


def float16(model: onnx.ModelProto) -> bool:
    """Compute in float16. ONNX Runtime's own converter does it; what float16 cannot hold it keeps in float32.

    Args:
        model: float32; changed in place. Its inputs and outputs stay float32.

    Returns:
        True.

    Raises:
        MissingExtraError: ONNX Runtime came without its converter.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise MissingExtraError("float16 graphs", "export", "onnxruntime.transformers") from error
    metadata = metadata_of(model)
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    OnnxModel(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)).topological_sort()
    set_metadata(model, metadata)
    return True
