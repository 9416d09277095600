"""Runs a MagicMind model on packed inputs, several at once, and writes each output as NAME.npy.

Written by `segship export --kit`; runs where Cambricon's magicmind and an MLU are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main", "open_model"]


def main() -> None:
    """Open the model, run all inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--magicmind_model", required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--input_dims", type=int, nargs=4, required=True, metavar=("N", "C", "H", "W"))
    parser.add_argument("--device_id", type=int, default=0)
    given = parser.parse_args()
    run = open_model(given.magicmind_model, given.device_id)
    files = sorted(given.input.glob("*.bin"))
    given.output.mkdir(parents=True, exist_ok=True)
    batch, shape = given.input_dims[0], given.input_dims[1:]
    for start in range(0, len(files), batch):
        part = files[start : start + batch]
        images = np.zeros((batch, *shape), np.float32)
        for place, path in enumerate(part):
            images[place] = np.fromfile(path, "<f4").reshape(shape)
        found = run(images)
        for place, path in enumerate(part):
            np.save(given.output / (path.stem + ".npy"), found[place : place + 1])


def open_model(path: str, device_id: int) -> Any:
    """Open a model; returns a function from inputs (N, C, H, W) to outputs."""
    import magicmind.python.runtime as mm

    model = mm.Model()
    _require(model.deserialize_from_file(path), f"{path} cannot be read")
    with mm.System() as system:
        if device_id >= system.device_count():
            sys.exit(f"infer: there is no MLU {device_id}")
        device = mm.Device()
        device.id = device_id
        _require(device.active(), "the MLU cannot be opened")
        config = mm.Model.EngineConfig()
        config.device_type = "MLU"
        engine = model.create_i_engine(config)
        context = engine.create_i_context()
        queue = device.create_queue()
        inputs = context.create_inputs()

    def run(images: Any) -> Any:
        inputs[0].from_numpy(np.ascontiguousarray(images))
        inputs[0].to(device)
        outputs: list[Any] = []
        _require(context.enqueue(inputs, outputs, queue), f"the input {images.shape} is refused")
        _require(queue.sync(), "the run fails")
        return outputs[0].asnumpy()

    return run


def _require(status: Any, what: str) -> None:
    if not status.ok():
        sys.exit(f"infer: {what}: {status}")


if __name__ == "__main__":
    main()
