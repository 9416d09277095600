"""Every flipped byte of a package is noticed, the manifest's among them."""

from __future__ import annotations

import shutil
from pathlib import Path

import flips
from segship.core.manifest import MANIFEST


def test_every_flipped_byte_of_the_manifest_is_noticed(tmp_path: Path) -> None:
    package = Path(shutil.copytree(flips.SMALL, tmp_path / "package"))
    found = flips.flip_file(package, MANIFEST)
    assert found.tried == (package / MANIFEST).stat().st_size
    assert (found.unnoticed, found.uncaught) == ([], [])
    model = flips.flip_file(package, "model.onnx", every=40)
    assert (model.unnoticed, model.uncaught) == ([], [])


def test_what_is_not_noticed_would_be_told(tmp_path: Path) -> None:
    package = Path(shutil.copytree(flips.SMALL, tmp_path / "package"))
    (package / "notes.txt").write_text("dear")
    assert len(flips.flip_file(package, "notes.txt").unnoticed) == 4
