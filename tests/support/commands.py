"""Segship's command line in a process of its own, as users run it."""

from __future__ import annotations

import os
import subprocess
import sys

WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None; from segship.cli import main; main()"
)


def segship(*arguments: object, torch: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``segship ARGUMENTS``; with ``torch=False`` where importing torch or onnx raises."""
    program = ["-m", "segship"] if torch else ["-c", WITHOUT_TORCH]
    command = [sys.executable, *program, *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Require status 2 and one line that begins with ``error:``; return that line."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1]
