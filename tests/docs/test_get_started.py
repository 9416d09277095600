"""What *Get started* shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs_pages import ROOT

PAGE = ROOT / "docs" / "get-started.md"


@pytest.mark.slow
def test_the_commands_work_one_after_the_other(tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    commands = "\n".join(block for block in blocks if not block.startswith("pip install"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", '"$@"'), ("segship", '-m segship "$@"')):
        (programs / name).write_text(f"#!/bin/sh\nexec {sys.executable} {words}\n")
        (programs / name).chmod(0o755)
    variables = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    shell = ["bash", "-ec", commands]
    done = subprocess.run(shell, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout
    assert "the package passes its gate" in done.stdout
    assert (tmp_path / "package" / "manifest.json").is_file()
    assert len(list((tmp_path / "masks").glob("*.png"))) == len(list((tmp_path / "masks").glob("*.jpg"))) == 16
