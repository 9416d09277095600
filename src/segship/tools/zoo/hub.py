"""Fetching a folder of the Hugging Face hub: descriptions and safetensors, their digests compared with the hub's."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import DownloadError, InputError, MissingExtraError, UnsupportedError, one_line
from segship.core.files import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["HUB", "HubFolder", "download_from_hub"]

HUB = "hf:"
"""What the name of a network of the hub begins with, as in ``hf:org/name`` and ``hf:org/name@revision``."""
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_DESCRIPTIONS = frozenset({
    "config.json", "preprocessor_config.json", "processor_config.json",
    "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
})  # fmt: skip
_INDEX = "model.safetensors.index.json"
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_MOST_DESCRIPTION = 64 * 2**20


@dataclass(frozen=True)
class HubFolder:
    """A network of the hub on this machine.

    Attributes:
        repository: Its name there, as ``org/name``.
        commit: The commit that was fetched.
        folder: Where it is.
        digests: SHA-256 of each file by its name.
    """

    repository: str
    commit: str
    folder: Path
    digests: dict[str, str]


def download_from_hub(
    name: str,
    to: str | Path,
    *,
    endpoint: str | None = None,
    timeout: float = 30,
    progress: Callable[[int, int], None] | None = None,
) -> HubFolder:
    """Fetch what a network's folder on the hub needs to be exported: descriptions and safetensors, nothing else.

    Args:
        name: As ``hf:org/name``, or ``hf:org/name@revision`` for a branch, tag or commit.
        to: Folder for the files. What is there already, and right, is kept.
        endpoint: Address of the hub; None: ``HF_ENDPOINT`` of the environment, else huggingface.co.
        timeout: Seconds without an answer after which the hub counts as unreachable.
        progress: Called with (bytes there, bytes in all).

    Returns:
        The folder, whose files have the digests that the hub tells.

    Raises:
        InputError: The name is none of the hub.
        UnsupportedError: The folder has no safetensors.
        DownloadError: It cannot be reached, is not there, or a file is not what the hub says of it.
        MissingExtraError: huggingface_hub is not installed.
    """
    found = _NAME.fullmatch(name.removeprefix(HUB))
    if found is None:
        raise InputError(f"{name!r:.200} is no name of the hub: expected hf:org/name or hf:org/name@revision")
    repository, folder = found["repository"], Path(to)
    endpoint = endpoint or os.environ.get("HF_ENDPOINT")
    info = _ask(repository, found["revision"], endpoint, timeout)
    files = _wanted(repository, info.siblings or ())
    total, there, digests = sum(file.size or 0 for file in files), 0, {}
    for file in files:
        path = folder / file.rfilename
        if not _is_right(path, file):
            _fetch(repository, file.rfilename, info.sha, folder, endpoint)
            if not _is_right(path, file):
                path.unlink(missing_ok=True)
                raise DownloadError(f"{file.rfilename} of {repository} is not what the hub says of it: fetch it again")
        digests[file.rfilename] = digest(path).sha256
        there += file.size or 0
        if progress is not None:
            progress(there, total)
    return HubFolder(repository, info.sha, folder, digests)


def _library() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise MissingExtraError("Fetching from the hub", "huggingface", "huggingface_hub") from error
    disable_progress_bars()
    return huggingface_hub


def _ask(repository: str, revision: str | None, endpoint: str | None, timeout: float) -> Any:
    """What the hub knows of a folder: its commit and its files, with sizes and digests."""
    try:
        return (
            _library()
            .HfApi(endpoint=endpoint, user_agent="segship")
            .model_info(repository, revision=revision, files_metadata=True, timeout=timeout)
        )
    except MissingExtraError:
        raise
    except Exception as error:
        raise DownloadError(f"the hub does not tell of {repository}: {one_line(error, joined=True):.300}") from error


def _wanted(repository: str, files: Sequence[Any]) -> list[Any]:
    """The files to fetch.

    Raises:
        UnsupportedError: There are no safetensors, or no config.json.
    """
    names = {file.rfilename for file in files}
    wanted = _weights(repository, names) | (_DESCRIPTIONS & names)
    if "config.json" not in names:
        raise UnsupportedError(f"{repository} has no config.json, which says what its network is")
    chosen = [file for file in files if file.rfilename in wanted]
    for file in chosen:
        if file.rfilename.endswith((".json", ".txt")) and (file.size or 0) > _MOST_DESCRIPTION:
            raise UnsupportedError(f"{file.rfilename} of {repository} has {file.size} bytes, which no description has")
    return sorted(chosen, key=lambda file: file.size or 0)  # what is small first: it may refuse what is large


def _weights(repository: str, names: set[str]) -> set[str]:
    """The files that hold the weights: the one of all of them, or the parts and what lists them.

    Raises:
        UnsupportedError: There are none.
    """
    if "model.safetensors" in names:
        return {"model.safetensors"}
    parts = {name for name in names if _WEIGHTS.fullmatch(name)}
    if parts:
        return parts | ({_INDEX} & names)
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
    raise UnsupportedError(
        f"{repository} has no model.safetensors{f', only {pickles[0]}' if pickles else ''}: pickles of strangers "
        "are not fetched. Its other branches may have safetensors, as in hf:org/name@refs/pr/1"
    )


def _fetch(repository: str, name: str, commit: str, folder: Path, endpoint: str | None) -> None:
    try:
        _library().hf_hub_download(repository, name, revision=commit, local_dir=folder, endpoint=endpoint)
    except MissingExtraError:
        raise
    except Exception as error:
        raise DownloadError(f"{name} of {repository} is not fetched: {one_line(error, joined=True):.300}") from error


def _is_right(path: Path, file: Any) -> bool:
    """Whether a file is there and has the digest that the hub tells: SHA-256 of large ones, git's of small ones."""
    if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
        return False
    if file.lfs is not None:
        return bool(digest(path).sha256 == file.lfs.sha256)
    if file.blob_id is None:
        return False
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == str(file.blob_id)
