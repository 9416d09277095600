"""A module is the ONNX model it was read from."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Module(dict):  # type: ignore[type-arg]
    """Its function ``main``."""

    @classmethod
    def from_expr(cls, expression: Any) -> Module:
        return cls(main=expression)


def _from_onnx(model: Any, shapes: dict[str, tuple[int, ...]]) -> tuple[Module, dict[str, Any]]:
    (image,) = model.graph.input
    assert shapes == {image.name: tuple(side.dim_value for side in image.type.tensor_type.shape.dim)}
    return Module(main=model.SerializeToString()), {"weight": 1}


frontend = SimpleNamespace(from_onnx=_from_onnx)


@contextlib.contextmanager
def build_config(*, opt_level: int, stream_mode: bool, enable_float_to_half: bool) -> Any:
    assert (opt_level, stream_mode, enable_float_to_half) == (2, True, True)
    yield


def build(*, mod: Module, target: str, params: dict[str, Any] | None) -> tuple[str, Any, dict[str, Any]]:
    assert target == "vacc"
    library = SimpleNamespace(export_library=lambda path: Path(path).write_bytes(mod["main"]))
    return "{}", library, params or {}


def save_param_dict(params: dict[str, Any]) -> bytes:
    return repr(params).encode()
