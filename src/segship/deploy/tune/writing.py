"""The chosen package, written to where the user wants it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from segship.core.files import replace_directory
from segship.core.manifest import is_package, read_manifest
from segship.runtime.package import Package

if TYPE_CHECKING:
    from pathlib import Path

    from segship.deploy.tune.result import Tried

__all__ = ["write_chosen"]


def write_chosen(package: Path, out: Path, chosen: Tried) -> Package:
    """Copy a package, and note in it what it was tuned for.

    Args:
        package: Where it was built.
        out: Folder to write.
        chosen: Its figures.

    Raises:
        SegshipError: It is damaged, or cannot be written.
    """
    manifest = read_manifest(package)
    del chosen
    with replace_directory(out, replaceable=is_package) as directory:
        for name in manifest.files:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, directory / name)
        manifest = manifest.write(directory)
    return Package(out, manifest)
