"""Stands in for ais_bench's InferSession: an .om of the stand-in ATC is ONNX."""

from __future__ import annotations

from typing import Any


class InferSession:
    def __init__(self, device_id: int, model_path: str) -> None:
        import onnxruntime

        if device_id:
            raise RuntimeError("rtSetDevice failed, ErrCode=507033")
        self._session = onnxruntime.InferenceSession(model_path)

    def infer(self, feeds: list[Any], mode: str = "static", custom_sizes: int = 100000) -> list[Any]:
        if mode not in {"static", "dymbatch", "dymhw", "dymdims", "dymshape"}:
            raise RuntimeError(f"wrong infer_mode:{mode}")
        names = [each.name for each in self._session.get_inputs()]
        found: list[Any] = self._session.run(None, dict(zip(names, feeds, strict=True)))
        return found
