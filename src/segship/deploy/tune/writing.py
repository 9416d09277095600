"""The chosen package, written to where the user wants it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from segship.backends import find_backend
from segship.core.files import replace_directory
from segship.core.manifest import Tuned, is_package, read_manifest
from segship.core.processor import processor, processors
from segship.core.versions import module_versions
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
    engine = module_versions(find_backend(manifest.target.backend).INFO.modules)
    tuned = Tuned(
        processor=processor(),
        processors=processors(),
        threads=chosen.threads or None,
        versions={name: version for name, version in engine.items() if version is not None},
        milliseconds=chosen.timing.milliseconds if chosen.timing is not None else 0.0,
    )
    with replace_directory(out, replaceable=is_package) as directory:
        for name in manifest.files:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, directory / name)
        manifest = manifest.model_copy(update={"tuned": tuned}).write(directory)
    return Package(out, manifest)
