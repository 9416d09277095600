"""Build and run the program that each language's page prints, with the commands that it prints, as a reader would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from language_tools import NATIVE, ROOT, SOURCES, VECTORS, engines

PAGES = ROOT / "docs" / "languages"
# What each page's program is called, and how its block begins.
PROGRAMS = {
    "c": ("program.c", "c"),
    "cpp": ("program.cpp", "cpp"),
    "csharp": ("Program.cs", "csharp"),
    "java": ("Program.java", "java"),
    "node": ("program.js", "js"),
    "go": ("program.go", "go"),
    "rust": ("program.rs", "rust"),
}
_PACKAGE = VECTORS / "packages" / "whole"
_SECONDS = 600


def block(page: str, kind: str) -> str:
    """The first block of a kind on a page."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{page}.md has no block of {kind}")
    return found[1]


def place(name: str, folder: Path) -> None:
    """Put a program where its page says: beside copies of the repository's folders, and a package."""
    (folder / "build").mkdir()
    (folder / "build" / "native").symlink_to(NATIVE)
    shutil.copytree(ROOT / "native" / "include", folder / "native" / "include")
    shutil.copytree(SOURCES, folder / "languages", ignore=shutil.ignore_patterns("node_modules", "target"))
    shutil.copytree(_PACKAGE, folder / "package")
    file, kind = PROGRAMS[name]
    (folder / file).write_text(block(name, kind), encoding="utf-8")


def check_pages(names: list[str]) -> list[str]:
    """Print what the pages' programs say instead of a class's name; the languages where one fails."""
    wrong = []
    classes = json.loads((_PACKAGE / "manifest.json").read_text(encoding="utf-8"))["spec"]["classes"]
    variables = {key: str(value) for key, value in engines().items()}
    for name in [name for name in names if name in PROGRAMS]:
        with tempfile.TemporaryDirectory() as temporary:
            place(name, Path(temporary))
            done = subprocess.run(
                ["/bin/sh", "-ec", block(name, "bash")],
                check=False,
                cwd=temporary,
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
            )
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode or said.splitlines()[-1:] == [] or said.splitlines()[-1] not in classes:
            print(f"{name}: the program of its page ends with status {done.returncode}\n{said}")
            wrong.append(name)
    return wrong
