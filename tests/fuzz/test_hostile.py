"""The scripts of `fuzz/` run: a few hostile inputs of each kind here, all of them by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are those of Linux")
def test_a_few_hostile_inputs_of_each_kind_are_refused(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(FUZZ / "hostile.py"),
        "--most",
        "7",
        "--out",
        str(tmp_path / "page.md"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    together = re.search(r"\| \*\*together\*\* \|(.*)\|", (tmp_path / "page.md").read_text())
    assert together is not None
    tried, read, refused, *bad = map(int, together[1].split("|"))
    assert tried == 8 * 7
    assert read + refused == tried
    assert bad == [0, 0, 0, 0]
