"""RKNN-Toolkit2, which converts networks for Rockchip's NPUs and simulates these.

Source: https://github.com/airockchip/rknn-toolkit2. It asks for torch 2.4 and older; newer ones
work, too.
"""

from __future__ import annotations

from segship.toolchains.environment import Toolchain

__all__ = ["TOOLCHAIN"]

TOOLCHAIN = Toolchain(
    name="rknn",
    title="RKNN-Toolkit2",
    purpose="networks are converted for Rockchip's chips and simulated",
    size="1.5 GB",
    pythons=((3, 10), (3, 12)),
    packages={"rknn-toolkit2": "2.5.0", "onnx": "1.18.0", "numpy": "1.26.4"},
    alone=("rknn-toolkit2",),
    index="https://download.pytorch.org/whl/cpu",
    indexed=("torch==2.13.0+cpu",),  # without libraries for GPUs, which are three times as large
    requirements=(
        "onnxruntime<1.24",  # newer ones refuse the toolkit's protobuf
        "protobuf==4.25.4",
        "opencv-python-headless<4.12",
        "fast-histogram",
        "psutil",
        "ruamel.yaml",
        "scipy",
        "setuptools<81",  # it imports pkg_resources
        "tqdm",
    ),
    imports=("rknn.api",),
    reported=("torch", "onnxruntime"),
)
