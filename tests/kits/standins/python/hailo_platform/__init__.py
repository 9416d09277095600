"""Stands in for HailoRT's Python interface, of an engine that is the kit's ONNX file; values have channels last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

FormatType = SimpleNamespace(FLOAT32="float32")
HailoStreamInterface = SimpleNamespace(PCIe="pcie")
ConfigureParams = SimpleNamespace(create_from_hef=lambda hef, interface: (hef, interface))


class HEF:
    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path)

    def get_input_vstream_infos(self) -> list[Any]:
        _, channels, height, width = self.session.get_inputs()[0].shape
        return [SimpleNamespace(name="model_bs1/input_layer1", shape=(height, width, channels))]

    def get_output_vstream_infos(self) -> list[Any]:
        return [SimpleNamespace(name="model_bs1/conv9")]


class _Group:
    def __init__(self, hef: HEF) -> None:
        self.hef = hef

    def create_params(self) -> str:
        return "params"

    def activate(self, params: str) -> Any:
        assert params == "params"
        return contextlib.nullcontext()


class VDevice:
    def __enter__(self) -> VDevice:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def configure(self, hef: HEF, params: tuple[HEF, str]) -> list[_Group]:
        assert params == (hef, "pcie")
        return [_Group(hef)]


def _made(group: _Group, *, format_type: str) -> tuple[_Group, str]:
    return group, format_type


InputVStreamParams = OutputVStreamParams = SimpleNamespace(make=_made)


@contextlib.contextmanager
def InferVStreams(group: _Group, inputs: tuple[_Group, str], outputs: tuple[_Group, str]) -> Iterator[Any]:
    assert inputs == outputs == (group, "float32")

    def infer(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        (image,) = (feeds[info.name] for info in group.hef.get_input_vstream_infos())
        entry = group.hef.session.get_inputs()[0].name
        found = group.hef.session.run(None, {entry: np.ascontiguousarray(image.transpose(0, 3, 1, 2))})[0]
        return {"model_bs1/conv9": found.transpose(0, 2, 3, 1)}

    yield SimpleNamespace(infer=infer)
