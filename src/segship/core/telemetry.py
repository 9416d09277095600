"""Switches off what libraries would report about their users, before any of them is loaded."""

from __future__ import annotations

import os
import sys

__all__ = ["switch_off"]

# ONNX Runtime reads these while it is imported; the second is the name of its later versions.
_VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# OpenVINO reports each import through this module, NNCF each call. Without it both take a stand-in that does nothing.
_REPORTER = "openvino_telemetry"


def switch_off() -> None:
    """Switch the telemetry of ONNX Runtime, OpenVINO, NNCF, Hugging Face's libraries and Ray off for this process.

    What a user set in the environment is left as it is. A library that was imported before keeps what it does.
    """
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    if _REPORTER not in sys.modules:
        # None is Python's own way to say that a module cannot be imported; typeshed has no room for it.
        sys.modules[_REPORTER] = None  # type: ignore[assignment]
