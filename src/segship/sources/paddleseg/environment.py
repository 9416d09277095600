"""The environment of its own that Paddle runs in: made once, then used by subprocess, never imported beside torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import BackendError
from segship.core.files import cache_folder, replace_directory, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PACKAGES", "VARIABLE", "WORKER", "Environment", "environment", "process_variables", "require", "set_up"]

PACKAGES = {"paddlepaddle": "3.3.1", "paddle2onnx": "2.1.0"}
"""Versions that were tried together."""

VARIABLE = "SEGSHIP_PADDLE_ENV"
"""Environment variable that names another folder for the environment."""

WORKER = Path(__file__).with_name("worker.py")
"""The program that runs in it."""

# paddle2onnx pins onnx below 1.18; that it imports packaging, and Paddle setuptools, neither of them says.
_REQUIREMENTS = (*(f"{name}=={version}" for name, version in PACKAGES.items()), "onnx<=1.17", "packaging", "setuptools")
_RECORD = "segship-environment.json"
_LINES = 12  # of a failed command that are shown
_PYTHONS = ((3, 9), (3, 13))  # that both packages have wheels for


@dataclass(frozen=True)
class Environment:
    """Where Paddle is, or would be.

    Attributes:
        folder: Of the environment.
        packages: Version of each package in it; empty: it is not there, or not finished.
    """

    folder: Path
    packages: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether it was finished, with the versions that this Segship wants."""
        return self.packages.items() >= PACKAGES.items() and self.python.exists()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment() -> Environment:
    """The environment as it is: in the user's cache folder, or where ``$SEGSHIP_PADDLE_ENV`` says."""
    if given := os.environ.get(VARIABLE):
        folder = Path(given).expanduser().absolute()
    else:
        folder = cache_folder() / f"paddle-{PACKAGES['paddlepaddle']}"
    try:
        packages = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["packages"]
        return Environment(folder, {str(name): str(version) for name, version in packages.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Environment(folder, {})


def require() -> Environment:
    """The finished environment.

    Raises:
        BackendError: It is not there.
    """
    found = environment()
    if not found.ready:
        raise BackendError(
            f"networks of PaddleSeg are converted by Paddle in an environment of its own, and there is none in "
            f"{found.folder}: run `segship doctor --setup paddle` (1 GB), or let ${VARIABLE} name the folder of one "
            "that it made"
        )
    return found


def set_up(tell: Callable[[str], None]) -> Environment:
    """Make the environment, unless it is there; it appears whole or not at all.

    Args:
        tell: Called with what is going on, a short line.

    Raises:
        BackendError: A package cannot be installed, or does not work here.
        InputError: The folder holds something else, or cannot be written.
    """
    found = environment()
    if found.ready:
        return found
    if not _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        raise BackendError(f"Paddle {PACKAGES['paddlepaddle']} has no wheels for Python {sys.version_info[:2]}")
    with replace_directory(found.folder, replaceable=_is_ours) as folder:
        made = Environment(folder, {})
        tell("making an environment")
        _run([sys.executable, "-I", "-m", "venv", str(folder)], tell)
        # Byte code is written at the first use, when the folder has its final name.
        pip = [str(made.python), "-I", "-m", "pip", "install", "--no-compile", "--progress-bar", "off"]
        _run([*pip, *_REQUIREMENTS], tell)
        tell("trying Paddle")
        _run([str(made.python), "-I", "-B", str(WORKER), "versions", str(folder / "versions.json")], tell)
        packages = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
        (folder / "versions.json").unlink()
        write_atomically(folder / _RECORD, json.dumps({"packages": packages}, indent=2).encode())
    return environment()


def process_variables() -> dict[str, str]:
    """Environment variables for processes in it: those of this one, without what steers Python."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # paddle2onnx's optimiser would install packages while a network is converted.
    return inherited | {"POLYGRAPHY_AUTOINSTALL_DEPS": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _is_ours(folder: Path) -> bool:
    """Whether the folder is an environment of an older version, which may be replaced."""
    return (folder / _RECORD).is_file()


def _run(arguments: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run a program to its end and tell each line it prints.

    Raises:
        BackendError: It fails; the message holds its last lines.
    """
    last: deque[str] = deque(maxlen=_LINES)
    with subprocess.Popen(  # noqa: S603  (our own arguments, no shell)
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=process_variables(),
    ) as process:
        try:
            for line in process.stdout or ():
                if line.strip():
                    last.append(line.strip())
                    tell(line.strip()[:100])
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise BackendError(
            f"the environment cannot be made: {' '.join(arguments[1:5])} … ended with status {process.returncode}: "
            f"{' / '.join(last) or 'it printed nothing'}"
        )
