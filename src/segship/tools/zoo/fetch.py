"""One file over HTTP: resumed where it broke off, checked against the digest in its name, whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

from segship.core.errors import DownloadError
from segship.tools.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["fetch", "fetch_text"]

_CHUNK = 2**18
_ATTEMPTS = 3
_PAUSE = 0.3  # seconds before the second attempt, twice that before the third
_PARTIAL, _RANGE_REFUSED = 206, 416
_BUSY = {429, 500, 502, 503, 504}
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
_MAXIMUM_TEXT = 2**20


def fetch(url: str, path: Path, *, timeout: float = 30, progress: Callable[[int, int], None] | None = None) -> bool:
    """Fetch ``url`` to ``path``.

    What has arrived lies in ``path`` + ``.part`` until it is whole and checked. A broken transfer is taken up again,
    three times by itself, and by the next call after that. Proxies are those of the environment (``HTTPS_PROXY``).

    Args:
        url: ``https://`` or ``http://``. A name that ends in ``-`` and digits of a SHA-256, as MMSegmentation's do, is
            held against what arrives.
        path: Where to.
        timeout: Seconds without a byte after which the transfer counts as broken.
        progress: Called with (bytes there, bytes in all or 0).

    Returns:
        Whether anything was fetched; False where the whole file was there already.

    Raises:
        MissingExtraError: requests is not installed.
        DownloadError: The server refuses, the transfer keeps breaking off, or the file is not what its name says.
    """
    if path.is_file() and _is_right(url, path):
        return False
    require("Downloading", "download", "requests")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    fresh = not part.exists()
    problem = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE * attempt if problem else 0)
        problem = _continue(url, part, timeout, progress)
        if not problem and _is_right(url, part):
            part.replace(path)
            return True
        if not problem:
            part.unlink()
            if fresh:
                break
            # What lay there before may have been of another file: once more from the start.
            fresh = True
    if problem:
        raise DownloadError(f"{url}: {problem}; what has arrived is kept, run it again to go on")
    raise DownloadError(f"{url}: what arrives has another SHA-256 than its name says; nothing was kept")


def fetch_text(url: str, *, timeout: float = 30) -> str:
    """Return the text at ``url``, at most a megabyte.

    Raises:
        MissingExtraError: requests is not installed.
        DownloadError: The server refuses, or it is no text.
    """
    require("Downloading", "download", "requests")
    import requests

    data = b""
    try:
        with _open(url, 0, timeout) as answer:
            for chunk in answer.iter_content(_CHUNK):
                data += chunk
                if len(data) > _MAXIMUM_TEXT:
                    raise DownloadError(f"{url} is larger than any config")
        return data.decode()
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be fetched ({_reason(error)}): try again, or name a folder") from error
    except UnicodeDecodeError:
        raise DownloadError(f"{url} is no text") from None


def _continue(url: str, part: Path, timeout: float, progress: Callable[[int, int], None] | None) -> str:
    """Fetch what is missing of ``part``; what went wrong, or nothing."""
    import requests

    there = part.stat().st_size if part.exists() else 0
    try:
        with _open(url, there, timeout) as answer:
            if answer.status_code == _RANGE_REFUSED:  # it was whole, or is longer than the file: the digest tells
                return ""
            there, total = _write(answer, part, there if answer.status_code == _PARTIAL else 0, progress)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        return f"the transfer broke off ({_reason(error)})"
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise DownloadError(f"{url}: {_reason(error)}") from error
        raise DownloadError(f"cannot write {part}: {error.strerror or error}") from error
    return "" if not total or there == total else f"it broke off after {there} of {total} bytes"


def _write(answer: Any, part: Path, there: int, progress: Callable[[int, int], None] | None) -> tuple[int, int]:
    """Write what comes behind the bytes that are there; how many are there then, and how many there should be."""
    total = there + int(answer.headers.get("Content-Length") or 0)
    with part.open("ab" if there else "wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
            there += len(chunk)
            if progress is not None:
                progress(there, total)
    return there, total


@contextlib.contextmanager
def _open(url: str, start: int, timeout: float) -> Iterator[Any]:
    import requests

    # Unpacked on the way, a range would be of something else than what lies in the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.exceptions.MissingSchema):
        raise DownloadError(f"{url} is no address: expected https://…") from None
    with answer:
        if answer.status_code in _BUSY:
            raise requests.ConnectionError(f"the server answers {answer.status_code} {answer.reason}")
        if not answer.ok and not (start and answer.status_code == _RANGE_REFUSED):
            raise DownloadError(f"{url}: the server answers {answer.status_code} {answer.reason}")
        yield answer


def _is_right(url: str, path: Path) -> bool:
    """Whether the digest in the name of ``url`` is that of the file; a name without one proves nothing and will do."""
    named = _DIGEST.search(url)
    if named is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(named[1])


def _reason(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it several times."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, BaseException) else error)
    return text.rpartition(">: ")[2].splitlines()[0][:200] if text else type(error).__name__
