"""Stands in for the TVM of VastAI's SDK: what MMDeploy's onnx2vacc calls, strict about what it is given."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np

from tvm import relay

__all__ = ["build_config", "nd", "relay", "target"]

nd = SimpleNamespace(array=np.asarray)
target = SimpleNamespace(vacc=lambda: "vacc")


@contextlib.contextmanager
def build_config(*, data_type: int, data_transport_mode: int, mem_inplace: bool, cluster_mode: int) -> Any:
    assert (data_type in {0, 2}, data_transport_mode, mem_inplace, cluster_mode) == (True, 1, True, 0)
    yield
