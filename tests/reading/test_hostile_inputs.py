"""A sample of every kind of hostile input, each read in a process with limits; `fuzz/hostile.py` reads them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "fuzz" / "hostile.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limits of a process are Linux's")
def test_no_hostile_input_runs_hangs_grows_or_ends_in_a_traceback() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--most", "8"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **together** | 72 |" in done.stdout
