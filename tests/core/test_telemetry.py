"""Nobody is told: libraries that report what their users do are silent once segship is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import sys
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}:
        sys.stderr.write(f"{event} {arguments}\\n")
        raise SystemExit(3)
sys.addaudithook(refuse)
import segship
"""


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that belongs to nobody: no CI variable, a fresh HOME."""
    names = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE"}
    environment = {key: value for key, value in os.environ.items() if key in names} | {"HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", WATCH + code], env=environment, text=True, capture_output=True, check=False
    )


def test_environment_is_set_unless_the_user_set_it(tmp_path: Path) -> None:
    code = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['ORT_TELEMETRY_DISABLED'])"
    assert run(code, tmp_path).stdout == "1 1\n"


@pytest.mark.parametrize("module", ["onnxruntime", "openvino", "nncf"])
def test_an_engine_reports_nothing_and_leaves_nothing_behind(module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    done = run(f"import {module}; assert 'openvino_telemetry.main' not in sys.modules", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_session_reports_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code = "import numpy, importlib.resources\nfrom segship.cli import main\nsys.argv = ['segship', 'doctor']\nmain()\n"
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
