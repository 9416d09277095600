"""Stands in for VastAI's quantiser, which changes nothing."""

from __future__ import annotations

import contextlib
from typing import Any


@contextlib.contextmanager
def qconfig(*, calibrate_mode: str, skip_conv_layers: list[int], weight_scale: str, quantize_per_channel: bool) -> Any:
    assert (calibrate_mode, skip_conv_layers, weight_scale) == ("percentile", [], "max")
    assert not quantize_per_channel
    yield


def quantize(module: Any, weights: dict[str, Any], samples: list[dict[str, Any]]) -> Any:
    assert weights
    assert all(sample["image"].shape == (1, 3, 48, 80) for sample in samples)
    return module
