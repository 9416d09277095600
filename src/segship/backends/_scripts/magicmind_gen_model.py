"""ONNX -> MagicMind model: the options of magicmind_cloud's gen_model.py that segmentation needs.

Written by `segship export --kit`; runs where Cambricon's magicmind is installed. Calibration needs an MLU.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main"]

_MODES = ("force_float32", "force_float16", "qint8_mixed_float16", "qint8_mixed_float32", "qint16_mixed_float16")


def main() -> None:
    """Parse, calibrate where the precision is quantised, build, write."""
    given = _arguments()
    import magicmind.python.runtime as mm
    from magicmind.python.runtime.parser import Parser

    network = mm.Network()
    _require(Parser(mm.ModelKind.kOnnx).parse(network, given.onnx), "the ONNX file cannot be parsed")
    dims = [given.batch_size, *given.input_dims[1:]]
    _require(network.get_input(0).set_dimension(mm.Dims(tuple(dims))), f"the input's shape {dims} is refused")
    config = mm.BuilderConfig()
    for each in _settings(given):
        _require(config.parse_from_string(json.dumps(each)), f"the builder refuses {json.dumps(each)}")
    if "qint" in given.precision:
        _calibrate(mm, network, config, given, dims)
    model = mm.Builder().build_model("segmentation", network, config)
    if model is None:
        sys.exit("gen_model: the model cannot be built; MagicMind's log above says why")
    _require(model.serialize_to_file(given.magicmind_model), "the model cannot be written")


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--magicmind_model", required=True)
    parser.add_argument("--precision", default="force_float32", choices=_MODES)
    parser.add_argument("--input_dims", type=int, nargs=4, required=True, metavar=("N", "C", "H", "W"))
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--mlu_arch", nargs="+", default=["mtp_372"])
    parser.add_argument("--dynamic_shape", default="false", choices=["true", "false"])
    parser.add_argument("--dim_range_min", type=int, nargs=4)
    parser.add_argument("--dim_range_max", type=int, nargs=4)
    parser.add_argument("--computation_preference", default="auto", choices=["auto", "fast", "high_precision"])
    parser.add_argument("--type64to32_conversion", default="true", choices=["true", "false"])
    parser.add_argument("--conv_scale_fold", default="true", choices=["true", "false"])
    parser.add_argument("--calibration_data_path", help="folder of float32 inputs, one image a file")
    parser.add_argument("--calibration_algo", default="linear", choices=["linear", "eqnm"])
    parser.add_argument("--weight_quant_granularity", default="per_tensor", choices=["per_tensor", "per_axis"])
    parser.add_argument("--activation_quant_algo", default="symmetric", choices=["symmetric", "asymmetric"])
    parser.add_argument("--device_id", type=int, default=0)
    return parser.parse_args()


def _settings(given: Any) -> list[dict[str, Any]]:
    """The builder's configuration, one JSON object after the other."""
    mutable = given.dynamic_shape == "true"
    precision = {"precision_mode": given.precision}
    if "qint" in given.precision:
        precision["weight_quant_granularity"] = given.weight_quant_granularity
        precision["activation_quant_algo"] = given.activation_quant_algo
    found: list[dict[str, Any]] = [
        {"archs": given.mlu_arch},
        {"precision_config": precision},
        {"graph_shape_mutable": mutable},
        {"computation_preference": given.computation_preference},
        {
            "opt_config": {
                "type64to32_conversion": given.type64to32_conversion == "true",
                "conv_scale_fold": given.conv_scale_fold == "true",
            }
        },
    ]
    if mutable and given.dim_range_min and given.dim_range_max:
        found.append({"dim_range": {"0": {"min": given.dim_range_min, "max": given.dim_range_max}}})
    return found


def _calibrate(mm: Any, network: Any, config: Any, given: Any, dims: list[int]) -> None:
    if not given.calibration_data_path:
        sys.exit(f"gen_model: {given.precision} is calibrated with inputs: name --calibration_data_path")
    files = sorted(Path(given.calibration_data_path).glob("*.bin"))
    if len(files) < dims[0]:
        sys.exit(f"gen_model: {len(files)} inputs are too few for batches of {dims[0]}")

    algorithms = mm.QuantizationAlgorithm
    named = {"linear": algorithms.LINEAR_ALGORITHM, "eqnm": algorithms.EQNM_ALGORITHM}
    with mm.System() as system:
        if given.device_id >= system.device_count():
            sys.exit(f"gen_model: there is no MLU {given.device_id} to calibrate on")
        device = mm.Device()
        device.id = given.device_id
        _require(device.active(), "the MLU cannot be opened")
    calibrator = mm.Calibrator([_samples(mm, files, dims)])
    _require(calibrator.set_quantization_algorithm(named[given.calibration_algo]), "the algorithm is refused")
    _require(calibrator.calibrate(network, config), "calibration fails")


def _samples(mm: Any, files: list[Path], dims: list[int]) -> Any:
    class Samples(mm.CalibDataInterface):  # type: ignore[misc]
        """Inputs of a batch at a time."""

        def __init__(self) -> None:
            super().__init__()
            self._next = 0
            self._sample: Any = None

        def get_shape(self) -> Any:
            return mm.Dims(tuple(dims))

        def get_data_type(self) -> Any:
            return mm.DataType.FLOAT32

        def get_sample(self) -> Any:
            return self._sample

        def next(self) -> Any:
            if self._next + dims[0] > len(files):
                return mm.Status(mm.Code.OUT_OF_RANGE, "Data end reached")
            part = files[self._next : self._next + dims[0]]
            self._sample = np.ascontiguousarray([np.fromfile(path, "<f4").reshape(dims[1:]) for path in part])
            self._next += dims[0]
            return mm.Status.OK()

        def reset(self) -> Any:
            self._next, self._sample = 0, None
            return mm.Status.OK()

    return Samples()


def _require(status: Any, what: str) -> None:
    if not status.ok():
        sys.exit(f"gen_model: {what}: {status}")


if __name__ == "__main__":
    main()
