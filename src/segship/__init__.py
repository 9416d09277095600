"""Segship: trained semantic-segmentation networks in, verified, fast, self-describing packages out.

Opening a package needs no torch: ``segship.Segmentor(package)``. Making one does: ``segship.export(...)``.
Names are imported on first use, so ``import segship`` stays cheap and free of torch. It switches the telemetry of the
libraries off that Segship uses, and lets their idle workers sleep.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segship.core import spellings
from segship.core.idle import let_workers_sleep
from segship.core.telemetry import switch_off

if TYPE_CHECKING:
    from segship.bench import benchmark
    from segship.core.errors import (
        BackendError,
        CheckpointError,
        ConfigError,
        DownloadError,
        InputError,
        MissingExtraError,
        PackageError,
        SegshipError,
        SegshipWarning,
        SizeError,
        UnsafeFileError,
        UnsupportedError,
        VerificationError,
    )
    from segship.core.manifest import Manifest
    from segship.core.plan import Int8, Temperature
    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Target
    from segship.deploy import export, export_module
    from segship.deploy.tune import tune
    from segship.deploy.verify import verify
    from segship.evaluation import Data, evaluate
    from segship.kits import adopt, export_kit
    from segship.runtime import Package, Segmentor, predict
    from segship.sources import Source, load_network

__version__ = "0.2.0"

switch_off()
let_workers_sleep()
spellings.register("segship.formats.mmdeploy.names")
spellings.register("segship.formats.vendor_words")

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "Data",
    "DownloadError",
    "InputError",
    "Int8",
    "Manifest",
    "MissingExtraError",
    "ModelSpec",
    "Package",
    "PackageError",
    "Segmentor",
    "SegshipError",
    "SegshipWarning",
    "SizeError",
    "SizeRule",
    "Source",
    "Target",
    "Temperature",
    "UnsafeFileError",
    "UnsupportedError",
    "VerificationError",
    "__version__",
    "adopt",
    "benchmark",
    "evaluate",
    "export",
    "export_kit",
    "export_module",
    "load_network",
    "predict",
    "tune",
    "verify",
]

_ERRORS = "segship.core.errors"
_HOMES = {
    "Data": "segship.evaluation",
    "Int8": "segship.core.plan",
    "Temperature": "segship.core.plan",
    "Manifest": "segship.core.manifest",
    "ModelSpec": "segship.core.spec",
    "Package": "segship.runtime",
    "Segmentor": "segship.runtime",
    "SegshipWarning": _ERRORS,
    "SizeRule": "segship.core.spec",
    "Source": "segship.sources",
    "Target": "segship.core.target",
    "adopt": "segship.kits",
    "benchmark": "segship.bench",
    "evaluate": "segship.evaluation",
    "export": "segship.deploy",
    "export_kit": "segship.kits",
    "export_module": "segship.deploy",
    "load_network": "segship.sources",
    "predict": "segship.runtime",
    "tune": "segship.deploy.tune",
    "verify": "segship.deploy.verify",
} | {name: _ERRORS for name in __all__ if name.endswith("Error")}


def __getattr__(name: str) -> Any:
    """Import the public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segship' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
