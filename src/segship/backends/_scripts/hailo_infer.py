"""Runs a Hailo engine on packed inputs and writes each output as NAME.npy.

Written by `segship export --kit`; runs where HailoRT's Python (hailo_platform) and a device are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

__all__ = ["main"]


def main() -> None:
    """Open the engine, run all inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hef", required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    import hailo_platform as hailo

    given.output.mkdir(parents=True, exist_ok=True)
    hef = hailo.HEF(given.hef)
    with hailo.VDevice() as device:
        settings = hailo.ConfigureParams.create_from_hef(hef, interface=hailo.HailoStreamInterface.PCIe)
        group = device.configure(hef, settings)[0]
        kind = hailo.FormatType.FLOAT32
        inputs = hailo.InputVStreamParams.make(group, format_type=kind)
        outputs = hailo.OutputVStreamParams.make(group, format_type=kind)
        (image,) = hef.get_input_vstream_infos()
        (logits,) = hef.get_output_vstream_infos()
        with group.activate(group.create_params()), hailo.InferVStreams(group, inputs, outputs) as pipeline:
            for path in sorted(given.input.glob("*.bin")):
                values = np.fromfile(path, "<f4").reshape(1, *image.shape)
                found = pipeline.infer({image.name: values})[logits.name]
                np.save(given.output / (path.stem + ".npy"), np.asarray(found, np.float32))


if __name__ == "__main__":
    main()
