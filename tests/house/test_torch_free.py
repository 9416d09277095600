from __future__ import annotations

import subprocess
import sys

import pytest

ROOMS = [
    "core",
    "vision",
    "metrics",
    "datasets",
    "backends",
    "verification",
    "reading.configs",
    "formats",
    "formats.mmdeploy",
    "runtime",
    "evaluation",
    "cli",
    "cli.app",
]
REFUSE_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None\n"


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_where_torch_cannot_be_imported(room: str) -> None:
    code = REFUSE_TORCH + f"import importlib, pkgutil\npackage = importlib.import_module('segship.{room}')\n"
    code += (
        "for module in pkgutil.iter_modules(getattr(package, '__path__', [])):\n"
        "    importlib.import_module(f'{package.__name__}.{module.name}')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_top_level_import_brings_no_heavy_module() -> None:
    code = (
        "import sys, segship\n"
        "heavy = {'torch', 'onnxruntime', 'cv2', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
