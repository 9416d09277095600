"""A running service of two packages, and what clients send it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="pip install segship[serve]")

import segship
from segship.serve import Limits, ServeOptions
from segship.serve.process import listen, server
from support.trained import write_trained


class Client:
    """One connection at a time, by Python's own HTTP client."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port, self.secret = port, token

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.secret:
            named["Authorization"] = f"Bearer {self.secret}"
        try:
            connection.request(method, path, body, named)
            reply = connection.getresponse()
            return reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()}
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        status, body, _ = self.ask("GET", path, **headers)
        assert status == 200, body
        return json.loads(body)

    def segment(self, image: bytes, form: str = "npy", model: str = "one") -> bytes:
        status, body, _ = self.ask("POST", f"/v1/models/{model}/segment?format={form}", image)
        assert status == 200, body
        return body

    def refused(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """The status and the reason of a request that must be refused with ``{"error": ...}`` alone."""
        status, answer, _ = self.ask(method, path, body, **headers)
        told = json.loads(answer)
        assert list(told) == ["error"]
        assert "Traceback" not in told["error"]
        return status, told["error"]


@contextmanager
def running(
    *packages: str, token_file: Path | None = None, reload_seconds: float = 0, **options: Any
) -> Iterator[Client]:
    """A service in a thread of this process."""
    limits = options.pop("limits", Limits())
    chosen = ServeOptions(
        packages, port=0, token_file=token_file, reload_seconds=reload_seconds, limits=limits, **options
    )
    with listen(chosen) as sock:
        service = server(chosen)
        thread = threading.Thread(target=service.run, args=([sock],))
        thread.start()
        try:
            while not service.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Client(sock.getsockname()[1])
        finally:
            service.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    return segship.export(*write_trained(folder), folder / "package").path


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network: the bundled one."""
    demo = Path(segship.__file__).parent / "assets" / "demo"
    folder = tmp_path_factory.mktemp("other")
    return segship.export(
        demo / "fast_scnn_scenes.py", demo / "fast_scnn_scenes.pth", folder / "package", target="onnxruntime_dynamic"
    ).path


@pytest.fixture(scope="session")
def client(package: Path, other: Path) -> Iterator[Client]:
    with running(f"one={package}", f"two={other}") as client:
        yield client


@pytest.fixture(scope="session")
def scene() -> bytes:
    return (Path(segship.__file__).parent / "assets" / "demo" / "images" / "scene_01.jpg").read_bytes()
