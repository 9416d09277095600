"""Manifests edited by hand, with the digest of themselves that fits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from segship.core.manifest import MANIFEST, seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["edit_manifest", "write_manifest"]


def edit_manifest(package: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let ``change`` alter the values of a package's manifest, and seal it anew."""
    values = json.loads((package / MANIFEST).read_text(encoding="utf-8"))
    change(values)
    write_manifest(package, values)


def write_manifest(package: Path, values: dict[str, Any]) -> None:
    """Write a manifest of these values with its digest."""
    text = json.dumps({name: value for name, value in values.items() if name != "digest"}, indent=2)
    (package / MANIFEST).write_bytes(seal(text))
