"""``segship doctor --setup``: environments that a source needs."""

from __future__ import annotations

from pathlib import Path

from segship.core.errors import InputError

__all__ = ["SETUPS", "set_up"]

SETUPS = ("paddle",)


def set_up(name: str, *, as_json: bool) -> None:
    """Make an environment, showing what goes on, and tell where it is.

    Args:
        name: Of the environment.
        as_json: Print as JSON.

    Raises:
        InputError: None has that name.
        BackendError: It cannot be made.
    """
    if name not in SETUPS:
        raise InputError(f"no environment is called {name!r}, known are {', '.join(SETUPS)}")
    from segship.cli import output  # noqa: PLC0415
    from segship.sources.paddleseg import environment  # noqa: PLC0415

    before = environment.environment().ready
    with output.stages() as tell:
        made = environment.set_up(lambda line: tell(f"setting up Paddle: {line}"))
    if as_json:
        values = {"setup": name, "folder": str(made.folder), "packages": made.packages, "made": not before}
        output.write_json(Path("-"), values)
        return
    versions = ", ".join(f"{package} {version}" for package, version in made.packages.items())
    output.say(f"{made.folder} {'was there' if before else 'is ready'}: {versions}")
