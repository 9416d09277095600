"""Packages that were tuned for a machine: whether it is this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.processor import processor, processors

if TYPE_CHECKING:
    from segship.core.manifest import Tuned

__all__ = ["default_threads", "tuned_elsewhere"]


def tuned_elsewhere(tuned: Tuned | None) -> str:
    """Say in a line that a package was tuned for another machine, and what differs; empty where it was not.

    Args:
        tuned: Of the manifest.
    """
    if tuned is None:
        return ""
    here, differ = processor(), []
    if here.features != tuned.processor.features or (not here.features and here.name != tuned.processor.name):
        differ.append(f"{tuned.processor}, this is {here}")
    if processors() != tuned.processors:
        differ.append(f"{tuned.processors} processors, here are {processors()}")
    for name, version in tuned.versions.items():
        if (found := _version(name)) != version:
            differ.append(f"{name} {version}, here is {found or 'none'}")
    return f"the package was tuned for another machine ({'; '.join(differ)}): tune it again here" if differ else ""


def default_threads(tuned: Tuned | None) -> int | None:
    """Return the threads that a package opens with where nobody says how many; None: the engine's own choice.

    Args:
        tuned: Of the manifest. What was found with another number of processors means nothing here.
    """
    return tuned.threads if tuned is not None and tuned.processors == processors() else None


def _version(distribution: str) -> str | None:
    import importlib.metadata  # takes 20 ms, and most packages were tuned for no machine

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
