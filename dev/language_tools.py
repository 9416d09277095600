"""What the builds of all languages share: tools, folders, programs that can be called from anywhere."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "languages"
PARTS = PLACE / "parts"
NATIVE = ROOT / "build" / "native"
SOURCES = ROOT / "languages"
INCLUDE = ROOT / "native" / "include"
VECTORS = ROOT / "spec" / "vectors"

# Tools of each language, each with the package of Debian that brings it.
_COMPILER = {"g++": "g++", "cmake": "cmake", "make": "make"}
TOOLS: dict[str, dict[str, str]] = {
    "c": _COMPILER,
    "cpp": _COMPILER,
    "csharp": {**_COMPILER, "mcs": "mono-mcs", "mono": "mono-runtime libmono-system-core4.0-cil"},
    "java": {**_COMPILER, "javac": "openjdk-17-jdk-headless"},
    "node": {**_COMPILER, "node": "nodejs"},
    "browser": {"node": "nodejs", "npm": "npm", "em++": "emscripten", "chromium": "chromium"},
    "go": {**_COMPILER, "go": "golang-go"},
    "rust": {**_COMPILER, "cargo": "cargo"},
}


class MissingToolError(Exception):
    """A language cannot be built here: the message says what it needs."""


def run(*command: object, cwd: Path = ROOT, **variables: str) -> None:
    """Run a build step, and show what it says if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, check=False, cwd=cwd, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise SystemExit(f"{shlex.join(words)} failed with status {done.returncode}")


def lacking(name: str) -> dict[str, str]:
    """The tools of a language that are not here, with the package of each."""
    return {tool: package for tool, package in TOOLS[name].items() if shutil.which(tool) is None}


def require(name: str) -> None:
    """Raise where a tool of the language is missing."""
    if lack := lacking(name):
        packages = " ".join(dict.fromkeys(lack.values()))
        raise MissingToolError(f"{', '.join(lack)} not found (on Debian: apt-get install {packages})")


def install(names: list[str]) -> None:
    """Install what the languages lack, as root on Debian; otherwise nothing."""
    packages = sorted({word for name in names for package in lacking(name).values() for word in package.split()})
    tool = shutil.which("apt-get")
    if not packages or os.geteuid() != 0 or tool is None:
        return
    print("installing", " ".join(packages), flush=True)
    waits = ("-o", "DPkg::Lock::Timeout=300")
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [tool, *waits, *command],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    if done.returncode:
        print("apt-get could not install all of them")


@cache
def native() -> Path:
    """Build the library; the folder that it lies in."""
    NATIVE.mkdir(parents=True, exist_ok=True)
    with (NATIVE / "lock").open("w") as lock:  # the tests of native/ build it, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "-S", ROOT / "native", "-B", NATIVE)
        run("cmake", "--build", NATIVE, "--parallel", "2", "--target", "segship")
    return NATIVE


def engines() -> dict[str, Path]:
    """The variables that name the engines' libraries, each with its folder in this Python."""
    found = {}
    for variable, module, folder in (
        ("SEGSHIP_ONNXRUNTIME", "onnxruntime", "capi"),
        ("SEGSHIP_OPENVINO", "openvino", "libs"),
    ):
        module_spec = importlib.util.find_spec(module)
        if module_spec is not None and module_spec.origin is not None:
            found[variable] = Path(module_spec.origin).parent / folder
    return found


def fresh(name: str) -> Path:
    """An empty folder for a language's parts."""
    folder = PARTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def program(name: str, *command: object, **variables: object) -> None:
    """Write ``build/languages/NAME``, which runs a command that finds the library and the engines.

    Args:
        name: Of the language.
        command: Program and first arguments.
        variables: Of the environment, where they are not set.
    """
    _write(PLACE / name, f"{name} PACKAGE IMAGE.ppm MASK.pgm [SCORES]", command, variables)


def own_tests(name: str, *command: object, **variables: object) -> None:
    """Write the program of a language's own tests; as `program`."""
    _write(PARTS / name / "tests", f"the tests of {name}", command, variables)


def _write(path: Path, what: str, command: tuple[object, ...], variables: dict[str, object]) -> None:
    defaults = {**engines(), **variables}
    lines = [
        "#!/bin/sh",
        f"# {what}; written by dev/languages.py",
        *(f': "${{{key}={value}}}"; export {key}' for key, value in defaults.items()),
        f'LD_LIBRARY_PATH="${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}{NATIVE}"; export LD_LIBRARY_PATH',
        f'exec {shlex.join(map(str, command))} "$@"',
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
