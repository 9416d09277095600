"""A package as what other servers open: a model repository, an archive."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from segship.backends import find_backend
from segship.core.errors import InputError, PackageError
from segship.core.files import replace_directory
from segship.core.manifest import read_manifest
from segship.formats.services.model_servers import kserve_service, openvino_config, require_embedded, triton_config
from segship.formats.services.torchserve import write_archive

if TYPE_CHECKING:
    import os

    from segship.core.manifest import Manifest

__all__ = ["ArchiveFormat", "archive"]

ArchiveFormat: TypeAlias = Literal["triton", "torchserve", "ovms", "kserve"]

_INDEX = "segship-archive.json"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def archive(
    package: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    format: ArchiveFormat,  # noqa: A002  (what the command calls it)
    name: str | None = None,
) -> Path:
    """Write what another server opens.

    Args:
        package: A package. For all but ``torchserve``, one whose engine takes the image and returns the mask
            (``--embed pre,post``).
        out: Folder to write; one that this function wrote is replaced.
        format: ``triton``: a model repository. ``ovms``: a folder of OpenVINO Model Server's. ``kserve``: Triton's
            repository and an InferenceService. ``torchserve``: a model store with ``NAME.mar``.
        name: Of the model; None: the package's folder's.

    Returns:
        The folder.

    Raises:
        PackageError: The package is damaged.
        UnsupportedError: The server cannot do what the package needs.
        InputError: The name cannot be part of an address.
    """
    folder, out = Path(package), Path(out)
    manifest = read_manifest(folder)
    name = name or folder.resolve().name
    if not name or not set(name) <= _NAME:
        raise InputError(f"{name!r} cannot be part of an address: give a name of letters, digits and ._-")
    if format != "torchserve":
        require_embedded(manifest)
    with replace_directory(out, replaceable=_is_archive) as made:
        if format == "torchserve":
            write_archive(made / f"{name}.mar", name, folder, find_backend(manifest.target.backend).INFO.extra)
        else:
            root = made / "repository" if format == "kserve" else made
            _write_repository(root, name, folder, manifest)
            if format == "ovms":
                (made / "config.json").write_text(openvino_config(name), encoding="utf-8")
            else:
                (root / name / "config.pbtxt").write_text(triton_config(manifest, name), encoding="utf-8")
            if format == "kserve":
                (made / "service.yaml").write_text(kserve_service(manifest, name), encoding="utf-8")
        files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        (made / _INDEX).write_text(json.dumps({"format": format, "name": name, "files": files}, indent=2) + "\n")
    return out


def _write_repository(root: Path, name: str, package: Path, manifest: Manifest) -> None:
    """NAME/1/ with the engine's files, and the classes beside it."""
    version = root / name / "1"
    version.mkdir(parents=True)
    for file in manifest.files:
        if Path(file).name != file:
            raise PackageError(f"the engine's file {file} lies in a folder, which these servers do not look into")
        shutil.copyfile(package / file, version / file)
    labels = "\n".join(" ".join(each.split()) for each in manifest.spec.classes) + "\n"
    (root / name / "labels.txt").write_text(labels, encoding="utf-8")


def _is_archive(folder: Path) -> bool:
    """Whether a folder holds what `archive` wrote, and nothing else."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        known = {_INDEX, *index["files"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return all(path.relative_to(folder).as_posix() in known for path in folder.rglob("*") if not path.is_dir())
