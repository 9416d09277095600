"""The archive for TorchServe, opened by the real one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

import segship
from segship.deploy.archive import archive
from segship.tools.service import compare_service

from .conftest import Client
from .test_grpc import _free as free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ts") is None or shutil.which("java") is None,
        reason="pip install torchserve==0.12.0 captum pyyaml; apt-get install openjdk-17-jre-headless",
    ),
]


@contextlib.contextmanager
def torchserve(store: Path, run: Path) -> Iterator[Client]:
    """TorchServe in the foreground, with all models of a store, on this machine's own addresses."""
    ports = [free_port() for _ in range(5)]
    names = ("inference_address", "management_address", "metrics_address")
    settings = [f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False)]
    settings += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}", "default_workers_per_model=1"]
    settings += [f"model_store={store}", "load_models=all", "disable_token_authorization=true"]
    (run / "ts.properties").write_text("\n".join(settings) + "\n")
    environment = os.environ | {"LOG_LOCATION": str(run), "METRICS_LOCATION": str(run), "TEMP": str(run)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(Path(segship.__file__).parents[1])  # the one under test, wherever the worker runs
    program = "from ts.model_server import start; start()"
    command = [sys.executable, "-c", program, "--start", "--ncs", "--foreground", "--ts-config", "ts.properties"]
    process = subprocess.Popen(
        command, cwd=run, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield Client(ports[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_real_torchserve_gives_the_packages_mask(package: Path, scene: bytes, tmp_path: Path) -> None:
    store, run = archive(package, tmp_path / "store", format="torchserve", name="street"), tmp_path / "run"
    run.mkdir()
    (tmp_path / "a.jpg").write_bytes(scene)
    with torchserve(store, run) as client:
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError, HTTPException):
                if client.ask("POST", "/predictions/street", scene)[0] == 200:
                    break
            assert time.monotonic() < end, (run / "model_log.log").read_text()[-2000:]
            time.sleep(0.5)
        url = f"http://127.0.0.1:{client.port}"
        (found,) = compare_service(url, package, [tmp_path / "a.jpg"], protocol="torchserve", name="street")
        assert found.labels_equal == 1.0
        assert client.ask("POST", "/predictions/street", b"no image")[0] == 400
