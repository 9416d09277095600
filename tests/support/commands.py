"""Segship's command line in a process of its own, as users run it."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None; from segship.cli import main; main()"
)
PROGRAM = """
from segship.cli import main
import sys
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""
"""The command line as a program that goes on where it ends well, to look at what is left."""

# What a process reads when it begins: commands whose environments differ in it are forks of different processes.
_AT_BEGINNING = ("PYTHON", "LD_", "OMP_")


def segship(*arguments: object, torch: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``segship ARGUMENTS``; with ``torch=False`` where importing torch or onnx raises.

    The process is a fork of one that has imported torch and others, which takes longer than most commands do.
    """
    environment = os.environ | {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    read_at_beginning = {key: value for key, value in environment.items() if key.startswith(_AT_BEGINNING)}
    words = [str(argument) for argument in arguments]
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        command = {"out": out.name, "err": err.name, "arguments": words, "environment": environment}
        server = _server(torch, frozenset(read_at_beginning.items()))
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(json.dumps({**command, "folder": str(Path.cwd())}) + "\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
        except BaseException:  # a test's time is over: the answer to come would be taken for the next one's
            server.kill()
            _server.cache_clear()
            raise
        said, errors = (Path(stream.name).read_bytes().decode().replace("\r\n", "\n") for stream in (out, err))
    return subprocess.CompletedProcess(["segship", *words], status, said, errors)


@cache
def _server(torch: bool, read_at_beginning: frozenset[tuple[str, str]]) -> subprocess.Popen[str]:
    """The process whose forks run commands; it ends with this one."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_AT_BEGINNING)}
    environment |= {**dict(read_at_beginning), "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    environment["OMP_NUM_THREADS"] = "1"  # a fork keeps one thread of several, and libraries begin theirs when imported
    program = [sys.executable, str(Path(__file__).with_name("warm.py")), *(() if torch else ("torch", "onnx"))]
    pipe = subprocess.PIPE
    server = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, env=environment)
    atexit.register(server.communicate)
    return server


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Require status 2 and one line that begins with ``error:``; return that line."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1]
