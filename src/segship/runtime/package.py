"""What can be opened: packages, folders that MMDeploy made, and engine files that describe themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.backends import default_device, find_backend
from segship.core.errors import PackageError, UnsafeFileError, printable, validated
from segship.core.files import bring_back
from segship.core.manifest import MANIFEST, read_manifest
from segship.runtime.pipeline import Pipeline
from segship.runtime.tuned import default_threads

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import Session
    from segship.core.manifest import Manifest
    from segship.datasets.class_names import ClassNames

__all__ = ["Package", "PackageFiles", "can_open", "find_package"]

_CPU = "cpu"
_WINDOWS_AT_ONCE = 4


@dataclass(frozen=True)
class Package:
    """An exported package; it may be used as the path of its folder.

    Attributes:
        path: Its folder.
        manifest: What it is, with the figures of its verification.
    """

    path: Path
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PackageFiles:
    """Something that can be opened.

    Attributes:
        path: What the user named.
        directory: Where its files lie.
        manifest: What it is.
    """

    path: Path
    directory: Path
    manifest: Manifest

    @property
    def default_device(self) -> str:
        """The device that its engine is opened on where none is named: ``cpu``, or the first of one that has no cpu."""
        return default_device(self.manifest.target.backend)

    def session(
        self, *, device: str | None = None, threads: int | None = None, trust: bool = False, cache: bool = False
    ) -> Session:
        """Open its engine.

        Args:
            device: ``cpu``, ``cuda:0``, …; None: `default_device`.
            threads: Threads of the engine; None: its own choice.
            trust: Open files that carry code, which then runs.
            cache: Use what the engine compiled at an earlier start, and keep what it compiles now.

        Raises:
            UnsafeFileError: It carries code, and is not trusted.
            BackendError: It cannot be opened here.
        """
        backend = find_backend(self.manifest.target.backend)
        if backend.INFO.runs_code and not trust:
            raise UnsafeFileError(
                f"{self.path} is an engine of {backend.INFO.title}: {backend.INFO.runs_code}, which no digest can make "
                "safe. If it comes from people you trust, open it with --trust (in Python, trust=True)"
            )
        chosen = device or self.default_device
        if threads is None and chosen == self.default_device:
            threads = default_threads(self.manifest.tuned)
        return backend.open(self.manifest.engine(self.directory, cache=cache), device=chosen, threads=threads)

    def pipeline(
        self, *, device: str | None = None, threads: int | None = None, trust: bool = False, cache: bool = False
    ) -> Pipeline:
        """Open its engine, with all that goes before and after it; arguments and errors as for `session`."""
        manifest, device = self.manifest, device or self.default_device
        image, output = manifest.inputs[0], manifest.outputs[0]
        return Pipeline(
            self.session(device=device, threads=threads, trust=trust, cache=cache),
            manifest.spec,
            manifest.sizes,
            image=image.name,
            logits=output.name,
            batch=_WINDOWS_AT_ONCE if isinstance(image.shape[0], str) and device.partition(",")[0] != _CPU else 1,
            embed=manifest.embed,
            decided=output.is_whole,
            temperatures=() if manifest.calibration is None else manifest.calibration.temperatures,
        )


def can_open(path: Path) -> bool:
    """Return whether a package, a folder of MMDeploy's or an engine file with metadata lies at ``path``."""
    if (path / MANIFEST).is_file():
        return True
    from segship.formats.mmdeploy.documents import is_mmdeploy_folder
    from segship.runtime.engine_file import is_described

    return is_mmdeploy_folder(path) or is_described(path)


def find_package(path: Path, naming: ClassNames | None = None) -> PackageFiles:
    """Read what lies at ``path``; no engine is opened, and nothing runs.

    Args:
        path: A package, a folder that MMDeploy made, or the file of an engine.
        naming: Names of classes, for files that do not hold any.

    Raises:
        PackageError: It is none of these, or is damaged.
        UnsupportedError: A folder of MMDeploy's does what is not provided here.
    """
    if "\0" in str(path):
        raise PackageError(f"{printable(str(path)):.200} is no path: it holds the character 0")
    try:
        os.lstat(path)
    except FileNotFoundError:
        bring_back(path)
    except OSError as error:
        raise PackageError(f"{printable(str(path)):.200} cannot be opened: {error.strerror}") from None
    if (path / MANIFEST).is_file():
        return PackageFiles(path, path, read_manifest(path))
    return _find_others(path, naming)


def _find_others(path: Path, naming: ClassNames | None) -> PackageFiles:
    """Read what is no package of Segship's, by what is loaded for it alone."""
    from segship.datasets.class_names import ClassNames
    from segship.formats.mmdeploy.documents import is_mmdeploy_folder
    from segship.formats.mmdeploy.reader import read_mmdeploy_folder
    from segship.runtime.engine_file import is_engine_file, read_engine_file

    if is_mmdeploy_folder(path):
        with validated(str(path), PackageError):
            return PackageFiles(path, path, read_mmdeploy_folder(path, naming or ClassNames()))
    if is_engine_file(path):
        with validated(str(path), PackageError):
            return PackageFiles(path, path.parent, read_engine_file(path))
    return PackageFiles(path, path, read_manifest(path))  # which raises, and says why
