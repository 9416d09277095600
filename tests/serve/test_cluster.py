"""A service of replicas on a Ray cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segship import Segmentor
from segship.core.errors import InputError, MissingExtraError
from segship.serve import ServeOptions, serve_on_ray

from .conftest import Client

_LISTENING = "listening at "


def test_without_ray_the_pip_line_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "segship\[ray\]"'):
        serve_on_ray(ServeOptions((str(package),)), "local")


@pytest.mark.parametrize("alone", [{"grpc_port": 0}, {"port": 0}, {"at_once": 2}])
def test_what_is_of_one_machine_is_refused(package: Path, alone: dict[str, int]) -> None:
    with pytest.raises(InputError, match="--ray"):
        serve_on_ray(ServeOptions((str(package),), **alone), "local")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install "segship[ray]"')
def test_replicas_give_the_masks_of_the_package_and_outlive_one_that_is_killed(package: Path, scene: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "segship", "serve", f"one={package}", "--ray", "local", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        told = list[str]()
        for line in process.stdout:
            told.append(line)
            if _LISTENING in line:
                break
        assert _LISTENING in told[-1], told
        try:
            _ask(Client(port), package, scene, process.pid)
        finally:
            begin = time.monotonic()
            os.killpg(process.pid, signal.SIGTERM)  # as `timeout` does, or a supervisor of services
            process.communicate()
    assert time.monotonic() - begin < 25  # without its cluster, it waits for that half a minute
    assert process.returncode == 0


def _ask(client: Client, package: Path, scene: bytes, driver: int) -> None:
    with Segmentor(package) as segmentor:
        expected = segmentor(scene)
    assert np.array_equal(np.load(io.BytesIO(client.segment(scene))), expected)
    assert client.refused("POST", "/v1/models/one/segment", b"junk")[0] == 400
    (replica,) = _replicas(driver)
    os.kill(replica, signal.SIGKILL)
    for _ in range(20):
        status, body, _ = client.ask("POST", "/v1/models/one/segment?format=npy", scene)
        assert status in (200, 500, 503)
        assert status != 200 or np.array_equal(np.load(io.BytesIO(body)), expected)
    assert status == 200
    assert json.loads(client.ask("GET", "/readyz")[1]) == {"status": "ready"}


def _replicas(driver: int) -> list[int]:
    """The processes below ``driver`` that hold a package."""
    found, parents = [], dict[int, int]()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"ray::ServeReplica" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return [one for one in found if driver in _above(one, parents)]


def _above(process: int, parents: dict[int, int]) -> list[int]:
    found = []
    while process in parents:
        process = parents[process]
        found.append(process)
    return found
