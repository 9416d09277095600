"""ONNX -> VACC: a library, a graph and parameters, as MMDeploy's onnx2vacc makes them.

Written by `segship export --kit`; runs where VastAI's TVM (tvm.relay, vacc) is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main"]

_TYPES = {"fp16": 0, "int8": 2}


def main() -> None:
    """Read, quantise where it is asked for, compile, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--shape", type=int, nargs=4, required=True)
    parser.add_argument("--dtype", choices=sorted(_TYPES), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--calibration", help="float32 (N, C, H, W) as .npy; needed for int8")
    parser.add_argument("--calibrate_mode", default="percentile")
    given = parser.parse_args()
    import onnx
    import tvm
    from tvm import relay

    module, weights = relay.frontend.from_onnx(onnx.load(given.onnx), {given.input: tuple(given.shape)})
    module = relay.Module.from_expr(module["main"])
    if given.dtype == "int8":
        module, weights = _quantised(tvm, relay, module, weights, given), None
    settings = {"data_type": _TYPES[given.dtype], "data_transport_mode": 1, "mem_inplace": True, "cluster_mode": 0}
    with tvm.build_config(**settings), relay.build_config(opt_level=2, stream_mode=True, enable_float_to_half=True):
        graph, library, weights = relay.build(mod=module, target=tvm.target.vacc(), params=weights)
    folder = given.output / ("model-" + given.dtype)
    folder.mkdir(parents=True, exist_ok=True)
    library.export_library(str(folder / "model.so"))
    (folder / "model.json").write_text(graph)
    (folder / "model.params").write_bytes(relay.save_param_dict(weights))


def _quantised(tvm: Any, relay: Any, module: Any, weights: Any, given: Any) -> Any:
    from vacc import quantize

    images = np.load(given.calibration)
    samples = [{given.input: tvm.nd.array(images[place : place + 1])} for place in range(len(images))]
    with quantize.qconfig(
        calibrate_mode=given.calibrate_mode, skip_conv_layers=[], weight_scale="max", quantize_per_channel=False
    ):
        found = quantize.quantize(module, weights, samples)
    return relay.Module.from_expr(found["main"])


if __name__ == "__main__":
    main()
