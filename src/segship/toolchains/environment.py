"""Environments of their own for foreign converters: made once, then used by subprocess."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import BackendError
from segship.core.files import cache_folder, replace_directory, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["LAUNCHER", "Environment", "Toolchain"]

LAUNCHER = Path(__file__).with_name("launcher.py")
"""The program that runs in an environment: it loads a file and calls a function of it."""

_RECORD = "segship-environment.json"
_LINES = 12  # of a failed command that are shown
_VERSIONS = "versions.json"


@dataclass(frozen=True)
class Environment:
    """A folder with a Python interpreter and the packages of a toolchain.

    Attributes:
        folder: The environment's folder.
        packages: Version of each package in it; empty where the environment is missing or unfinished.
        wanted: Versions that the toolchain asks for.
    """

    folder: Path
    packages: Mapping[str, str]
    wanted: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """True where the environment is finished, with the versions that this Segship wants."""
        return self.packages.items() >= self.wanted.items() and self.python.exists()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@dataclass(frozen=True)
class Toolchain:
    """A foreign converter and the environment it needs.

    Attributes:
        name: The word after ``segship doctor --setup``.
        title: The converter's name, for people.
        purpose: Sentence that says what the converter is for, without its full stop.
        size: Disk space of the environment, for people: ``"1 GB"``.
        pythons: Lowest and highest Python (major, minor) that all packages have wheels for.
        packages: Exact version of each package that results depend on.
        alone: Those of ``packages`` that are installed without what they require, as that is older than what works.
        requirements: Further requirements, as pip takes them.
        index: Address of a package index that ``indexed`` are looked for in, besides the user's own; empty: none.
        indexed: Exact requirements that come first, each from one wheel; what they need is looked for as all else is.
        imports: Modules that are imported to see that the environment works.
        reported: Further distributions whose versions are recorded.
        variables: Environment variables that the converter's processes get.
    """

    name: str
    title: str
    purpose: str
    size: str
    pythons: tuple[tuple[int, int], tuple[int, int]]
    packages: Mapping[str, str]
    alone: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    index: str = ""
    indexed: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """Environment variable that names another folder for the environment: ``SEGSHIP_PADDLE_ENV``."""
        return f"SEGSHIP_{self.name.upper()}_ENV"

    def environment(self) -> Environment:
        """Return the environment as it is: in the user's cache folder, or where `variable` says."""
        if given := os.environ.get(self.variable):
            folder = Path(given).expanduser().absolute()
        else:
            folder = cache_folder() / f"{self.name}-{next(iter(self.packages.values()))}"
        try:
            packages = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["packages"]
            versions = {str(name): str(version) for name, version in packages.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            versions = {}
        return Environment(folder, versions, self.packages)

    def require(self) -> Environment:
        """Return the finished environment.

        Raises:
            BackendError: It is not there.
        """
        found = self.environment()
        if not found.ready:
            raise BackendError(
                f"{self.purpose} in an environment of its own, and there is none in {found.folder}: run `segship "
                f"doctor --setup {self.name}` ({self.size}), or let ${self.variable} name the folder of one that it "
                "made"
            )
        return found

    def set_up(self, tell: Callable[[str], None]) -> Environment:
        """Make the environment, unless it is there; it appears whole or not at all.

        Args:
            tell: Called with each short line that says what is going on.

        Raises:
            BackendError: A package cannot be installed, or does not work here.
            InputError: The folder holds something else, or cannot be written.
        """
        found = self.environment()
        if found.ready:
            return found
        uv = self._uv()
        with replace_directory(found.folder, replaceable=_is_environment) as folder:
            made = Environment(folder, {}, self.packages)
            tell("making an environment")
            for command in self._installation(made, uv):
                _run(command, tell, self.process_variables())
            tell(f"trying {self.title}")
            _run(self._probe(made), tell, self.process_variables())
            packages = json.loads((folder / _VERSIONS).read_text(encoding="utf-8"))["result"]
            (folder / _VERSIONS).unlink()
            write_atomically(folder / _RECORD, json.dumps({"packages": packages}, indent=2).encode())
        return self.environment()

    def process_variables(self) -> dict[str, str]:
        """Return this process's environment variables without those that steer Python, and `variables`."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        patience = {"PIP_RETRIES": "2"}  # of an index that does not answer; pip's own five take minutes
        return patience | inherited | {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | dict(self.variables)

    def _uv(self) -> str | None:
        """The uv that brings a Python of another version; None where this one will do.

        Raises:
            BackendError: This Python does not fit, and there is no uv.
        """
        low, high = self.pythons
        if low <= sys.version_info[:2] <= high:
            return None
        uv = shutil.which("uv")
        if uv is None:
            versions = " to ".join(".".join(map(str, version)) for version in self.pythons)
            raise BackendError(
                f"{self.title} takes Python {versions}, this is {sys.version_info[0]}.{sys.version_info[1]}: install "
                "uv (pip install uv), which brings a Python of its own"
            )
        return uv

    def _installation(self, made: Environment, uv: str | None) -> list[list[str]]:
        """The commands that make the environment and install its packages."""
        exact = {name: f"{name}=={version}" for name, version in self.packages.items()}
        alone = [exact.pop(name) for name in self.alone]
        if uv is not None:
            python = ".".join(map(str, self.pythons[1]))
            pip = [uv, "pip", "install", "--python", str(made.python), "--no-progress"]
            first = [uv, "venv", "--python", python, "--relocatable", str(made.folder), "--clear"]
        else:
            # Byte code is written at the first use, when the folder has its final name.
            pip = [str(made.python), "-I", "-m", "pip", "install", "--no-compile", "--progress-bar", "off"]
            first = [sys.executable, "-I", "-m", "venv", str(made.folder)]
        commands = [first, [*pip, *self.indexed, *exact.values(), *self.requirements]]
        if self.indexed:
            commands.insert(1, [*pip, "--no-deps", "--extra-index-url", self.index, *self.indexed])
        return [*commands, *([[*pip, "--no-deps", *alone]] if alone else [])]

    def _probe(self, made: Environment) -> list[str]:
        """The command that imports the modules and writes the packages' versions."""
        distributions = ",".join((*self.packages, *self.reported))
        command = [str(made.python), "-I", "-B", str(LAUNCHER), "call", str(LAUNCHER), "versions"]
        return [*command, str(made.folder / _VERSIONS), distributions, ",".join(self.imports)]


def _is_environment(folder: Path) -> bool:
    """Whether the folder is an environment of an older version, which may be replaced."""
    return (folder / _RECORD).is_file()


def _run(arguments: Sequence[str], tell: Callable[[str], None], variables: Mapping[str, str]) -> None:
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
        env=variables,
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
