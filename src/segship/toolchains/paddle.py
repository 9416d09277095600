"""Paddle and paddle2onnx, which convert networks of PaddleSeg.

Source: https://github.com/PaddlePaddle/Paddle2ONNX. It pins ONNX below 1.18; Segship exports with 1.18 and newer.
"""

from __future__ import annotations

from segship.toolchains.environment import Toolchain

__all__ = ["TOOLCHAIN"]

TOOLCHAIN = Toolchain(
    name="paddle",
    title="Paddle",
    purpose="networks of PaddleSeg are converted by Paddle",
    size="1 GB",
    pythons=((3, 9), (3, 13)),
    packages={"paddlepaddle": "3.3.1", "paddle2onnx": "2.1.0"},
    # paddle2onnx imports packaging, and Paddle setuptools, without requiring them.
    requirements=("onnx<=1.17", "packaging", "setuptools"),
    imports=("paddle", "paddle2onnx"),
    reported=("onnx", "numpy"),
    # paddle2onnx's optimiser would install packages while a network is converted.
    variables={"POLYGRAPHY_AUTOINSTALL_DEPS": "0"},
)
