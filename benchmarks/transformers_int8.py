"""Transformers in int8: whether they export, what share of the labels they keep, and what they take of float32's time.

::

    python benchmarks/transformers_int8.py [--size 128x256] [--targets onnxruntime-int8,openvino-int8]
        [--configs FOLDER] [--images 8] [NAME ...]

Nobody trained weights for these here: they are random, from a fixed seed, with a last layer fitted to the bundled
scenes where the network has one. So labels are compared with the network's in float32, not with truth, and noise
between near classes counts against int8. No gate is asked.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import tempfile
import warnings
from pathlib import Path

import torch

import segship
from packages import SCENES, Network, find_network, fit_last_layer, overrides
from segship.core.errors import SegshipError, SegshipWarning
from segship.core.processor import processor, processors

NETWORKS = {
    "SegFormer-B0": "segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py",
    "Segmenter-T": "segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py",
    "Swin-T": "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
}


def weights(network: Network, folder: Path) -> Path:
    """Random weights, the last layer fitted where it is a convolution."""
    path = folder / f"{network.name}.pth"
    torch.manual_seed(0)
    module = segship.load_network(network.config)
    if hasattr(module.decode_head, "conv_seg") and module.decode_head.conv_seg is not None:
        fit_last_layer(module)
    torch.save({"state_dict": module.state_dict()}, path)
    return path


def main() -> None:
    """Export each, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--size", default="128x256")
    parser.add_argument("--targets", default="onnxruntime-int8,openvino-int8")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--configs", type=Path)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    print(f"{processors()} x {processor()}, onnxruntime {importlib.metadata.version('onnxruntime')}")
    print("| network | target | labels kept | layers in float32 as faster | time / float32 |\n|---|---|---:|---:|---:|")
    base = find_network("SegFormer-B0", options.configs).config.parents[1]
    for name in options.names:
        network = Network(name, base / NETWORKS[name])
        with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore", SegshipWarning)  # of so few images
            checkpoint = weights(network, Path(scratch))
            for target in options.targets.split(","):
                try:
                    record = segship.export(
                        network.config,
                        checkpoint,
                        Path(scratch) / target,
                        target=f"{target}_dynamic",
                        int8=segship.Int8(calibration=SCENES, images=options.images, agreement=0.0),
                        allow_inexact=True,
                        cfg_options=overrides((height, width)),
                    ).manifest.quantization
                except SegshipError as error:
                    print(f"| {name} | {target} | {error} | | |", flush=True)
                    continue
                assert record is not None
                assert record.agreement is not None
                unpaid = f"{len(record.unpaid)} of {record.layers}"
                print(f"| {name} | {target} | {record.agreement:.2%} | {unpaid} | {record.worth:.2f} |", flush=True)


if __name__ == "__main__":
    main()
