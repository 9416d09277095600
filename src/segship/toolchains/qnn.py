"""onnxruntime-qnn, which compiles networks for Qualcomm's Hexagon processors and, on x86, emulates these.

Source: https://github.com/onnxruntime/onnxruntime-qnn. Its wheels are those of one version of ONNX Runtime's interface.
"""

from __future__ import annotations

from segship.toolchains.environment import Toolchain

__all__ = ["TOOLCHAIN"]

TOOLCHAIN = Toolchain(
    name="qnn",
    title="onnxruntime-qnn",
    purpose="networks are compiled for Qualcomm's chips and emulated",
    size="0.5 GB",
    pythons=((3, 11), (3, 14)),
    packages={"onnxruntime-qnn": "2.7.0", "onnxruntime": "1.31.1", "onnx": "1.23.2"},
    imports=("onnx", "onnxruntime.quantization", "onnxruntime_qnn"),
    reported=("numpy",),
    variables={"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"},
)
