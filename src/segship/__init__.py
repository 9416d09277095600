"""Segship: trained semantic-segmentation networks in, verified, fast, self-describing packages out.

Opening a package needs no torch: ``segship.Segmentor(package)``. Making one does: ``segship.export(...)``.
Names are imported on first use, so ``import segship`` stays cheap and free of torch. It switches the telemetry of the
libraries off that Segship uses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segship.core import spellings
from segship.core.telemetry import switch_off
from segship.formats.mmdeploy import names

if TYPE_CHECKING:
    from segship.core.errors import SegshipError
    from segship.core.spec import ModelSpec
    from segship.core.target import Target
    from segship.deploy import Package, export, export_module
    from segship.runtime import Segmentor
    from segship.sources import load_network

__version__ = "0.1.0"

switch_off()
spellings.register(names.EXAMPLE, names.read_name)

__all__ = [
    "ModelSpec",
    "Package",
    "Segmentor",
    "SegshipError",
    "Target",
    "__version__",
    "export",
    "export_module",
    "load_network",
]

_HOMES = {
    "ModelSpec": "segship.core.spec",
    "Package": "segship.deploy",
    "Segmentor": "segship.runtime",
    "SegshipError": "segship.core.errors",
    "Target": "segship.core.target",
    "export": "segship.deploy",
    "export_module": "segship.deploy",
    "load_network": "segship.sources",
}


def __getattr__(name: str) -> Any:
    """Import the public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segship' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
