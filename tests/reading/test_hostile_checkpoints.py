from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# These hold a tensor beside what is odd in them, and are read without it.
HARMLESS = {
    "an array of no numbers and many lists",
    "one array noted many times",
    "a dictionary whose methods the file replaces",
}


def test_no_checkpoint_hangs_or_fills_the_memory_or_raises_what_nobody_catches(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    }
    command = [sys.executable, "-m", "support.hostile_checkpoints", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    ends = json.loads(done.stdout)
    assert ends.pop("megabytes") < 1000
    assert len(ends) == 25
    assert {title: end for title, (end, _) in ends.items()} == {
        title: "read" if title in HARMLESS else "refused" for title in ends
    }
