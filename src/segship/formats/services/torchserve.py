"""TorchServe's archives: a zip with a handler, the package, and a manifest of TorchServe's own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import segship

__all__ = ["write_archive"]

_HANDLER = Path(__file__).with_name("torchserve_handler.py")
_TIME = (2020, 1, 1, 0, 0, 0)  # the same package gives the same bytes


def write_archive(path: Path, name: str, package: Path, extra: str) -> None:
    """Write a ``.mar``.

    Args:
        path: The file.
        name: Of the model.
        package: Folder of the package.
        extra: Extra of Segship's distribution that its engine needs; empty for the base install.
    """
    needs = f"segship[{extra}]" if extra else "segship"
    manifest = {
        "createdOn": "01/01/2020 00:00:00",
        "runtime": "python",
        "archiverVersion": "0.12.0",
        "model": {
            "modelName": name,
            "modelVersion": "1.0",
            "handler": "handler.py",
            "requirementsFile": "requirements.txt",
        },
    }
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "MAR-INF/MANIFEST.json", json.dumps(manifest, indent=2).encode())
        _add(archive, "handler.py", _HANDLER.read_bytes())
        _add(archive, "requirements.txt", f"{needs}=={segship.__version__}\n".encode())
        for file in sorted(package.iterdir()):
            if file.is_file():
                archive.write(file, f"package/{file.name}")


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
