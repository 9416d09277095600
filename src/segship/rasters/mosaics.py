"""VRT, rasters that are lists of others, checked before GDAL opens what they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SUFFIX", "require_local", "sources_of"]

SUFFIX = ".vrt"
"""End of the names of such files."""

_MOST_BYTES = 2**26
_DEEPEST = 4  # of lists in lists
_NAMES = ("SourceFilename", "SourceDataset")


def require_local(path: Path, *, depth: int = 0) -> None:
    """Make sure that all that a VRT names are files on this machine.

    Args:
        path: A VRT.
        depth: How many lists name it.

    Raises:
        InputError: It names something else, a file that is not there, or is no VRT.
    """
    if depth > _DEEPEST:
        raise InputError(f"{path} is named by {_DEEPEST} lists in lists: name the files themselves")
    for source in sources_of(path):
        if source.startswith("/vsi") or "://" in source:
            raise InputError(
                f"{path} names a file of another machine or in an archive ({source:.120}): --remote lets GDAL read it"
            )
        if not Path(source).is_file():
            raise InputError(f"{path} names a file that is not there: {source:.200}")
        if Path(source).suffix.lower() == SUFFIX:
            require_local(Path(source), depth=depth + 1)


def sources_of(path: Path) -> Iterator[str]:
    """Yield all that a VRT names, with its folder where that is meant.

    Args:
        path: A VRT.

    Raises:
        InputError: It is none.
    """
    from xml.etree import ElementTree as ET  # loaded for rasters alone

    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path} is larger than {_MOST_BYTES} bytes: no list of rasters")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{path} defines entities, which no VRT needs: write it again with gdalbuildvrt")
    try:
        root = ET.fromstring(text)  # noqa: S314  (no entity is defined)
    except ET.ParseError as error:
        raise InputError(f"{path} is no VRT: {error}") from None
    if root.tag != "VRTDataset":
        raise InputError(f"{path} is no VRT: it holds {root.tag:.40}, expected VRTDataset")
    for element in root.iter():
        if element.tag in _NAMES and element.text:
            relative = element.get("relativeToVRT", element.get("relativetoVRT", "0")) == "1"
            yield str(path.parent / element.text) if relative else element.text
