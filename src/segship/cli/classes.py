"""``--classes``: what the classes of a network are called, where its own files do not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segship.core.errors import InputError, did_you_mean

__all__ = ["read_classes", "require_data_set", "with_classes"]

_MAXIMUM_BYTES = 2**20


def with_classes(spec: Path | None, classes: str | None) -> Path | dict[str, Any] | None:
    """The description that ``--spec`` and ``--classes`` make together.

    Args:
        spec: A YAML file, or None.
        classes: What the option says, or None.

    Raises:
        InputError: It names no classes, or the file cannot be read.
    """
    if classes is None:
        return spec
    from segship.reading.documents import read_mapping

    values = read_mapping(spec) if spec is not None else {}
    names, layout = read_classes(classes)
    return values | ({"layout": layout, "classes": None} if layout is not None else {"classes": names})


def read_classes(classes: str | None) -> tuple[list[str], str | None]:
    """The names that ``--classes`` says, or the data set whose they are.

    Args:
        classes: What the option says, or None.

    Raises:
        InputError: It names no classes, or the file cannot be read.
    """
    if classes is None:
        return [], None
    from segship.datasets import layouts

    name = classes.strip().lower().replace("-", "_")
    if name in layouts():
        return [], name
    text = _read(Path(classes)) if Path(classes).is_file() else classes.replace(",", "\n")
    names = [name.strip() for name in text.splitlines() if name.strip()]
    if len(names) < 2:  # noqa: PLR2004
        raise InputError(
            f"--classes {classes!r:.60} is neither a data set, nor a file, nor names separated by commas; known data "
            f"sets are {', '.join(layouts())}.{did_you_mean(name, layouts())}"
        )
    return names, None


def require_data_set(name: str) -> str:
    """``name``, if it is that of a data set.

    Raises:
        InputError: It is not.
    """
    from segship.datasets import layouts

    if name not in layouts():
        known = ["segship", "mmdeploy", *layouts()]
        raise InputError(f"no layout is called {name!r}: {', '.join(known)}.{did_you_mean(name, known)}")
    return name


def _read(path: Path) -> str:
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise InputError(f"{path} is larger than any list of classes")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} is no text file with one name a line") from None
