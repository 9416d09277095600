"""Every command in a network without a way out and with a home of its own: nobody is asked, nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import os, sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"}:
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(watch)
from segship.cli import main
main()
"""
# strace sees what libraries in C do; a socket of a family that leaves the machine is enough.
TRACE = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o"]


def alone() -> list[str]:
    """The command that begins a network namespace without a route."""
    unshare = shutil.which("unshare")
    for options in (["-n"], ["-r", "-n"]):
        if unshare and subprocess.run([unshare, *options, "true"], check=False, capture_output=True).returncode == 0:
            return [unshare, *options]
    pytest.skip("network namespaces need unshare and the right to use it")


def run(home: Path, *words: object) -> str:
    """Run one command; its standard output."""
    names = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}
    environment = {key: value for key, value in os.environ.items() if key in names}
    environment |= {"HOME": str(home), "SEEN": str(home.parent / "seen"), "PYTHONDONTWRITEBYTECODE": "1"}
    traced = [*TRACE, str(home.parent / "trace")] if shutil.which("strace") else []
    command = [*alone(), *traced, sys.executable, "-c", WATCH, *map(str, words)]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, cwd=home.parent)
    assert done.returncode == 0, done.stderr
    trace = home.parent / "trace"
    calls = trace.read_text() if trace.exists() else ""
    assert not [line for line in calls.splitlines() if "AF_INET" in line], words
    return done.stdout


@pytest.mark.slow
def test_no_command_asks_anybody_or_leaves_a_file_outside_the_cache(
    trained: tuple[Path, Path], street: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    report = json.loads(run(home, "doctor", "--json", "-"))
    package = tmp_path / "package"
    run(home, "export", *trained, package)
    run(home, "info", package)
    run(home, "verify", *trained, package)
    run(home, "predict", package, street, "--to", tmp_path / "masks")
    assert not (tmp_path / "seen").exists(), (tmp_path / "seen").read_text()
    cache = Path(report["cache"])
    assert cache.is_relative_to(home)
    left = [path for path in home.rglob("*") if path.is_file() and not path.is_relative_to(cache)]
    assert left == []
