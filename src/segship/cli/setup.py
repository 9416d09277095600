"""``segship doctor --setup``: environments that a source needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["set_up"]


def set_up(name: str, json_file: Path | None) -> None:
    """Make a toolchain's environment, showing what goes on, and tell where it is.

    Args:
        name: Name of the toolchain.
        json_file: Where the result is written as JSON; ``-``: printed, and nothing else; None: nowhere.

    Raises:
        InputError: No toolchain has that name.
        BackendError: It cannot be made.
    """
    from segship.cli import output
    from segship.toolchains import find_toolchain

    toolchain = find_toolchain(name)
    before = toolchain.environment().ready
    with output.stages() as progress:
        made = toolchain.set_up(lambda line: progress(f"setting up {toolchain.title}: {line}"))
    values = {"setup": name, "folder": str(made.folder), "packages": dict(made.packages), "made": not before}
    output.write_json(json_file, values)
    if output.is_standard_output(json_file):
        return
    versions = ", ".join(f"{package} {version}" for package, version in made.packages.items())
    output.say(f"{made.folder} {'was there' if before else 'is ready'}: {versions}")
