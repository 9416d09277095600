"""What a trained network expects and means, before anything is exported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from segship.deploy.requirements import require_extra
from segship.sources import Source, as_source

if TYPE_CHECKING:
    import os

    from segship.core.provenance import Provenance
    from segship.core.spec import ModelSpec, SizeRule

__all__ = ["Described", "describe"]


class Described(NamedTuple):
    """What a trained network expects and means.

    Attributes:
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
        notes: What a user should know, in sentences.
        provenance: From where each value of ``spec`` was read, and what was assumed.
    """

    spec: ModelSpec
    sizes: SizeRule
    notes: tuple[str, ...]
    provenance: Provenance


def describe(source: Source | str | os.PathLike[str]) -> Described:
    """Read what a trained network expects and means, before anything is exported; its weights may be missing.

    Args:
        source: A `segship.Source`; or the framework's config, folder or file.

    Returns:
        The spec, the sizes it takes, notes, and from where all that was read.

    Raises:
        SegshipError: It cannot be read.
    """
    require_extra()
    loaded = replace(as_source(source), random_weights=True).load()
    return Described(loaded.spec, loaded.network.sizes, loaded.notes, loaded.provenance)
