"""Fetching a published network: its config as one file, and its weights."""

from __future__ import annotations

import ast
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from segship.core.errors import DownloadError
from segship.core.files import write_atomically
from segship.tools.config import resolve
from segship.tools.zoo.fetch import fetch, fetch_text
from segship.tools.zoo.models import PublishedModel, find_model

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONFIGS", "Downloaded", "download"]

CONFIGS = "https://raw.githubusercontent.com/open-mmlab/mmsegmentation/v1.2.2/configs"
"""Where the configs are fetched from, unless MMSegmentation's wheel is installed and brings them."""

_MOST_FILES = 50


@dataclass(frozen=True)
class Downloaded:
    """A published network on this machine.

    Attributes:
        model: Which one.
        config: Its config, bases merged into it.
        weights: Its checkpoint; its SHA-256 begins as its name says.
        fetched: Whether the checkpoint was fetched now; False: it was there.
    """

    model: PublishedModel
    config: Path
    weights: Path
    fetched: bool


def download(
    model: str | PublishedModel,
    to: str | Path,
    *,
    configs: str | Path | None = None,
    timeout: float = 30,
    progress: Callable[[int, int], None] | None = None,
) -> Downloaded:
    """Fetch the config and the weights of a published network.

    Args:
        model: Its name, or what `find_model` returned.
        to: Folder for both files.
        configs: Folder or address of MMSegmentation's configs; None: those of the installed wheel, else `CONFIGS`.
        timeout: Seconds without a byte after which a transfer counts as broken.
        progress: Called with (bytes of the checkpoint there, bytes in all or 0).

    Returns:
        Both files.

    Raises:
        InputError: No published network has that name.
        DownloadError: Something cannot be fetched, or is not what its name says.
        MissingExtraError: requests is not installed.
    """
    found = find_model(model) if isinstance(model, str) else model
    folder = Path(to)
    # The small file first: where that is refused, nothing large has been fetched.
    text = _flat_config(found, configs if configs is not None else _installed() or CONFIGS, timeout)
    config = folder / f"{found.name}.py"
    write_atomically(config, text.encode())
    weights = folder / found.file
    fetched = fetch(found.weights, weights, timeout=timeout, progress=progress)
    return Downloaded(found, config, weights, fetched)


def _installed() -> Path | None:
    """The configs in MMSegmentation's wheel, which is not imported."""
    spec = importlib.util.find_spec("mmseg")
    for place in (spec.submodule_search_locations if spec else None) or ():
        if (folder := Path(place, ".mim", "configs")).is_dir():
            return folder
    return None


def _flat_config(model: PublishedModel, configs: str | Path, timeout: float) -> str:
    if "://" not in str(configs):
        return resolve(Path(configs) / model.config).text()
    with tempfile.TemporaryDirectory(prefix="segship.") as scratch:
        _mirror(str(configs).rstrip("/"), model.config, Path(scratch), timeout)
        return resolve(Path(scratch) / model.config).text()


def _mirror(address: str, first: str, folder: Path, timeout: float) -> None:
    """Fetch a config and the files it is based on, each to its place below ``folder``."""
    waiting, seen = [PurePosixPath(first)], set[PurePosixPath]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if len(seen) > _MOST_FILES:
            raise DownloadError(f"{address}/{first} is based on more than {_MOST_FILES} files")
        text = fetch_text(f"{address}/{path}", timeout=timeout)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        waiting += [_below(path.parent, name, f"{address}/{path}") for name in _bases(text)]


def _bases(text: str) -> list[str]:
    """The files that ``_base_`` of a config names, read without running it."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return []  # the reader of configs tells what is wrong with it
    for statement in statements:
        if isinstance(statement, ast.Assign) and any(map(_is_bases, statement.targets)):
            names = [node.value for node in ast.walk(statement.value) if isinstance(node, ast.Constant)]
            return [name for name in names if isinstance(name, str) and "::" not in name]
    return []


def _is_bases(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "_base_"


def _below(folder: PurePosixPath, name: str, where: str) -> PurePosixPath:
    """``name`` as seen from ``folder``, which must not lead out of the folder of configs."""
    parts: list[str] = []
    for part in (folder / name).parts:
        if part == ".." and parts:
            parts.pop()
        elif part in {"..", "/"}:
            raise DownloadError(f"{where} is based on {name!r}, which is outside the folder of configs")
        elif part != ".":
            parts.append(part)
    return PurePosixPath(*parts)
