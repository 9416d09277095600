"""Environments of toolchains for tests: stand-ins for what is installed there, run by this Python."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from segship.toolchains.environment import Toolchain

__all__ = ["write_environment"]


def write_environment(folder: Path, toolchain: Toolchain, modules: Mapping[str, str]) -> Path:
    """A folder as ``segship doctor --setup`` leaves it.

    Args:
        folder: Is made.
        toolchain: Whose environment it is.
        modules: Text of each module, by its dotted name; they come before those that are installed.
    """
    site = folder / "site"
    for name, text in modules.items():
        path = site.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    boot = folder / "boot.py"
    boot.write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(site)!r})\n"
        "sys.modules['torch'] = None  # it takes seconds to import, where it is found\n"
        "sys.argv = [each for each in sys.argv[1:] if each != '-I']\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {boot} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (folder / "segship-environment.json").write_text(json.dumps({"packages": dict(toolchain.packages)}))
    return folder
