"""Stands in for Cambricon's magicmind: the documented names, strict about settings; a model is the ONNX file.

$MM_DOES: parse (the parser refuses), build (the builder returns nothing).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

_KNOWN = {
    "archs": list, "precision_config": dict, "graph_shape_mutable": bool, "computation_preference": str,
    "opt_config": dict, "dim_range": dict,
}  # fmt: skip
_MODES = {"force_float32", "force_float16", "qint8_mixed_float16", "qint8_mixed_float32", "qint16_mixed_float16"}


class Code:
    OUT_OF_RANGE = "OUT_OF_RANGE"


class Status:
    def __init__(self, code: str = "OK", text: str = "") -> None:
        self._code, self._text = code, text

    @staticmethod
    def OK() -> Status:
        return Status()

    def ok(self) -> bool:
        return self._code == "OK"

    def __str__(self) -> str:
        return f"{self._code}: {self._text}"


class Dims(tuple[int, ...]):
    __slots__ = ()


class ModelKind:
    kOnnx = "onnx"


class DataType:
    FLOAT32 = "float32"


class QuantizationAlgorithm:
    LINEAR_ALGORITHM, EQNM_ALGORITHM = "linear", "eqnm"


class _Input:
    dims: Dims | None = None

    def set_dimension(self, dims: Dims) -> Status:
        self.dims = dims
        return Status() if len(dims) == 4 and min(dims) > 0 else Status("INVALID_ARGUMENT", f"dims {dims}")


class Network:
    def __init__(self) -> None:
        self.path, self.calibrated, self._input = Path(), False, _Input()

    def get_input(self, index: int) -> _Input:
        assert index == 0
        return self._input


class BuilderConfig:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def parse_from_string(self, text: str) -> Status:
        for name, value in json.loads(text).items():
            if not isinstance(value, _KNOWN.get(name, ())):
                return Status("INVALID_ARGUMENT", f"unknown setting {name}")
            self.values[name] = value
        mode = self.values.get("precision_config", {}).get("precision_mode", "force_float32")
        return Status() if mode in _MODES else Status("INVALID_ARGUMENT", mode)


class CalibDataInterface:
    pass


class Calibrator:
    def __init__(self, samples: list[Any]) -> None:
        (self._samples,) = samples

    def set_quantization_algorithm(self, algorithm: str) -> Status:
        return Status() if algorithm in {"linear", "eqnm"} else Status("INVALID_ARGUMENT", algorithm)

    def calibrate(self, network: Network, config: BuilderConfig) -> Status:
        assert "qint" in config.values["precision_config"]["precision_mode"]
        count = 0
        while self._samples.next().ok():
            sample = self._samples.get_sample()
            assert sample.dtype == np.float32
            assert sample.shape == tuple(self._samples.get_shape())
            count += len(sample)
        network.calibrated = count > 0
        return Status() if count else Status("INTERNAL", "no sample")


class _Built:
    def __init__(self, network: Network) -> None:
        self._network = network

    def serialize_to_file(self, path: str) -> Status:
        Path(path).write_bytes(self._network.path.read_bytes())
        return Status()


class Builder:
    def build_model(self, name: str, network: Network, config: BuilderConfig) -> _Built | None:
        assert name
        if os.environ.get("MM_DOES") == "build":
            return None
        if "qint" in config.values["precision_config"]["precision_mode"]:
            assert network.calibrated
        return _Built(network)


class System:
    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def device_count(self) -> int:
        return 1


class Queue:
    def sync(self) -> Status:
        return Status()


class Device:
    id = 0

    def active(self) -> Status:
        return Status()

    def create_queue(self) -> Queue:
        return Queue()


class _Tensor:
    def __init__(self, value: Any = None) -> None:
        self._value = value

    def from_numpy(self, value: Any) -> None:
        self._value = np.array(value)

    def to(self, device: Device) -> None:
        assert isinstance(device, Device)

    def asnumpy(self) -> Any:
        return self._value


class _Context:
    def __init__(self, session: Any) -> None:
        self._session = session

    def create_inputs(self) -> list[_Tensor]:
        return [_Tensor()]

    def enqueue(self, inputs: list[_Tensor], outputs: list[_Tensor], queue: Queue) -> Status:
        assert isinstance(queue, Queue)
        feeds = {self._session.get_inputs()[0].name: inputs[0].asnumpy()}
        outputs.extend(map(_Tensor, self._session.run(None, feeds)))
        return Status()


class _Engine:
    def __init__(self, session: Any) -> None:
        self._session = session

    def create_i_context(self) -> _Context:
        return _Context(self._session)


class Model:
    class EngineConfig:
        device_type = ""

    def deserialize_from_file(self, path: str) -> Status:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path)
        return Status()

    def create_i_engine(self, config: EngineConfig) -> _Engine:
        assert config.device_type == "MLU"
        return _Engine(self._session)
