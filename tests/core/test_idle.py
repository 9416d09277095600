"""Workers of linear algebra do not spin before they have work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads' times are read from /proc")

SPUN = """
import os
SETTING
import segship, numpy, cv2, time
time.sleep(0.2)
ticks = 0
for thread in os.listdir("/proc/self/task"):
    if int(thread) != os.getpid():
        fields = open(f"/proc/self/task/{thread}/stat").read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
print(os.environ["OPENBLAS_THREAD_TIMEOUT"], ticks / os.sysconf("SC_CLK_TCK"))
"""


def spun(setting: str = "") -> tuple[str, float]:
    """The variable, and the processor seconds of all threads but the first; with a worker whatever the machine."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": "2"}
    code = SPUN.replace("SETTING", setting)
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    variable, seconds = done.stdout.split()
    return variable, float(seconds)


def test_workers_sleep_until_there_is_work() -> None:
    variable, seconds = spun()
    assert variable == "20"
    assert seconds <= 0.05, "left alone they spin for a fifth of a second"


def test_what_the_user_set_stays() -> None:
    assert spun("os.environ['OPENBLAS_THREAD_TIMEOUT'] = '4'")[0] == "4"
