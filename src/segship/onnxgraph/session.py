"""Running a model that is in memory, of any size, with ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.onnxgraph.file import is_large, save

if TYPE_CHECKING:
    import onnx

__all__ = ["open_model"]


def open_model(model: onnx.ModelProto, **settings: Any) -> Any:
    """Open a model on the processor.

    Args:
        model: The model; one that passes a protobuf message's size goes through a temporary file.
        settings: Attributes of ONNX Runtime's ``SessionOptions``.

    Returns:
        ONNX Runtime's ``InferenceSession``.

    Raises:
        Exception: ONNX Runtime's own, where it refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for name, value in settings.items():
        setattr(options, name, value)
    providers = ["CPUExecutionProvider"]
    if not is_large(model):
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    # ONNX Runtime reads or maps the weights while it opens the file; a mapped one is deleted when it is closed.
    with tempfile.TemporaryDirectory(prefix="segship-model-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
