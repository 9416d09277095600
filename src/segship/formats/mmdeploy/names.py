"""MMDeploy's names: ``segmentation_{backend}[-{precision}]_{shape}.py``. What is not regular is written out."""

from __future__ import annotations

import re
from pathlib import PurePath

from segship.backends import DEFAULT

__all__ = ["ENGINE", "EXAMPLE", "read_name"]

ENGINE = DEFAULT
"""The engine that every mmdeploy_runtime has inside."""

EXAMPLE = "MMDeploy's name for one, as in segmentation_tensorrt_static-512x1024"
"""For error messages: whose names they are, and one of them."""

_NAME = re.compile(r"segmentation_(?P<rest>[a-z0-9_-]+?)(?:\.py)?")
_IRREGULAR = {
    "static": f"{ENGINE}_static",
    "dynamic": f"{ENGINE}_dynamic",
    "sdk_dynamic": f"{ENGINE}_dynamic",
}
_TUNERS = re.compile(r"tvm-(?:ansor|autotvm)_")


def read_name(text: str) -> str | None:
    """Return what the name of a deploy config means, as ``backend[-precision]_shape``; None where it is no such name.

    Args:
        text: With or without a folder before and ``.py`` behind it; no file is read.
    """
    match = _NAME.fullmatch(PurePath(text).name)
    if match is None:
        return None
    rest = _IRREGULAR.get(match["rest"], match["rest"])
    if rest.isalpha():  # segmentation_torchscript: an engine without a shape
        return f"{rest}_dynamic"
    # The tuner is TVM's own matter, and one family writes its shape with an underscore.
    return _TUNERS.sub("tvm_", rest).replace("_static_", "_static-")
