"""Whatever a client sends ends in one line, in time, and the next mask is right."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.core.errors import InputError
from segship.serve import Limits, ServeOptions
from segship.serve.models import named
from support.hostile_images import bad_images

from .conftest import Client, running


def test_no_image_breaks_the_service(client: Client, scene: bytes) -> None:
    right = client.segment(scene)
    for name, image in bad_images(scene).items():
        status, reason = client.refused("POST", "/v1/models/one/segment", image)
        assert (name, status) == (name, 400)
        assert "/" not in reason.replace("and/or", ""), reason
        assert client.segment(scene) == right, name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": []}', "no single input"),
        (b'{"inputs": [{"name": "image", "datatype": "FP64", "shape": [1], "data": [1]}]}', "BYTES"),
        (b'{"inputs": [{"name": "image", "datatype": ["FP32"], "shape": [1], "data": [1]}]}', "BYTES"),
        (b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 3], "data": [0.5, 1, 1]}]}', "whole"),
        (b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 3], "data": [NaN, 1, 1]}]}', "no numbers"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1], "data": [256]}]}', "no numbers of UINT8"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 1, 3], "data": [1]}]}', "four"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1], "data": [1]}]}', "positive"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, 2, 3], "data": [1]}]}', "does not fit"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1], "data": ["a"]}]}', "no numbers"),
        (b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1], "data": [1]}], "outputs": [{"name": "x"}]}',
         "mask and scores"),
        (b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}', "binary tensor"),
    ],
)  # fmt: skip
def test_tensors_of_the_wrong_kind_are_refused(client: Client, body: bytes, reason: str) -> None:
    status, told = client.refused("POST", "/v2/models/one/infer", body)
    assert status == 400
    assert reason in told


@pytest.mark.parametrize("length", ["-1", "a", "99999999999999", "1"])
def test_a_header_length_that_lies_is_refused(client: Client, length: str) -> None:
    assert client.refused("POST", "/v2/models/one/infer", b"{}", Inference_Header_Content_Length=length)[0] == 400


def test_what_does_not_exist_is_an_error_of_the_same_form(client: Client, scene: bytes) -> None:
    assert client.refused("GET", "/nothing")[0] == 404
    assert client.refused("PUT", "/v1/models")[0] == 405
    assert client.refused("POST", "/v1/models/none/segment", scene)[0] == 404
    assert client.refused("POST", "/v1/models/one/segment?format=gif", scene)[0] == 400
    assert client.refused("POST", "/v1/models/one/segment", scene, Accept="audio/ogg")[0] == 400
    assert client.refused("GET", "/v2/models/one/versions/9")[0] == 404
    assert client.refused("POST", "/v1/models/one/segment", b"x", Content_Type="multipart/form-data")[0] == 400


def talk(port: int, *parts: bytes, seconds: float = 20) -> bytes:
    """Send bytes as they are; the first reply."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        got = b""
        try:
            for part in parts:
                sock.sendall(part)
            while b'"}' not in got and (more := sock.recv(65_536)):
                got += more
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


@pytest.fixture(scope="module")
def hasty(package: Path) -> Iterator[Client]:
    limits = Limits(
        max_body=200_000,
        header_seconds=0.5,
        body_seconds=0.8,
        reply_seconds=1,
        idle_seconds=1,
        chunks=100,
        connections=40,
    )
    with running(f"one={package}", limits=limits) as client:
        yield client


def test_bodies_and_headers_have_limits(hasty: Client, scene: bytes) -> None:
    assert hasty.refused("POST", "/v1/models/one/segment", bytes(200_001))[0] == 413
    head = b"POST /v1/models/one/segment HTTP/1.1\r\nHost: a\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in talk(hasty.port, chunked, b"30d41\r\n" + bytes(200_001) + b"\r\n0\r\n\r\n")[:20]
    assert b" 400 " in talk(hasty.port, chunked, b"1\r\na\r\n" * 101)[:20]
    assert b" 400 " in talk(hasty.port, b"nonsense\r\n\r\n")[:20]
    assert b" 431 " in talk(hasty.port, b"GET / HTTP/1.1\r\n", *[b"a: " + b"b" * 1000 + b"\r\n"] * 400)[:20]
    for lie in (b"-1", b"1e9", b"99999999999999999999"):
        assert b" 4" in talk(hasty.port, head + b"Content-Length: " + lie + b"\r\n\r\nabc")[:13]
    assert b" 408 " in talk(hasty.port, head + b"Content-Length: 1000\r\n\r\nabc")[:20]
    assert hasty.segment(scene)


class Slow:
    """A client that is silent (0), drips headers (1) or a body (2), or half closes its connection (3)."""

    head = b"POST /v1/models/one/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"

    def __init__(self, port: int, kind: int) -> None:
        self.port, self.kind = port, kind

    def seconds(self) -> float:
        """How long the service keeps it."""
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.settimeout(0.1)
            try:
                self._begin(sock)
                while self._goes_on(sock) and time.monotonic() < begin + 20:
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass
        return time.monotonic() - begin

    def _begin(self, sock: socket.socket) -> None:
        sock.sendall({2: self.head, 3: self.head[:20]}.get(self.kind, b""))
        if self.kind == 3:
            sock.shutdown(socket.SHUT_WR)

    def _goes_on(self, sock: socket.socket) -> bool:
        sock.sendall({1: b"G", 2: b"a"}.get(self.kind, b""))
        try:
            return bool(sock.recv(1000))
        except TimeoutError:
            return True


def test_slow_clients_end_in_time_and_disturb_nobody(hasty: Client, scene: bytes) -> None:
    right = hasty.segment(scene)
    with ThreadPoolExecutor(32) as pool:
        ended = [pool.submit(Slow(hasty.port, number % 4).seconds) for number in range(32)]
        masks = [hasty.segment(scene) for _ in range(5)]
        seconds = [future.result(30) for future in ended]
    assert masks == [right] * 5
    assert max(seconds) < 8


def test_more_connections_than_there_may_be_end_the_oldest(hasty: Client, scene: bytes) -> None:
    held = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(60)]
    try:
        assert hasty.segment(scene)
    finally:
        for sock in held:
            sock.close()


def test_a_full_queue_tells_when_to_come_back(other: Path, scene: bytes) -> None:
    with running(f"two={other}", limits=Limits(queue=1), at_once=1) as client, ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(client.ask, "POST", "/v1/models/two/segment", scene) for _ in range(40)]
        replies = [future.result() for future in asked]
        assert {status for status, _, _ in replies} == {200, 503}
        busy = next(headers for status, _, headers in replies if status == 503)
        assert int(busy["retry-after"]) >= 1
        assert client.ask("POST", "/v1/models/two/segment", scene)[0] == 200


def test_tokens(package: Path, scene: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("# ours\nfirst\nsecond\n")
    with running(f"one={package}", token_file=tmp_path / "tokens") as client:
        status, reason = client.refused("POST", "/v1/models/one/segment", scene)
        assert (status, reason) == (401, "send Authorization: Bearer TOKEN")
        client.secret = "third"  # noqa: S105
        assert client.refused("GET", "/metrics")[0] == 401
        client.secret = "second"  # noqa: S105
        assert client.segment(scene)
        client.secret = ""
        assert client.get("/healthz") == {"status": "alive"}
        assert client.ask("GET", "/")[0] == 200
    (tmp_path / "tokens").write_text("\n")
    with pytest.raises(InputError, match="holds no token"), running(str(package), token_file=tmp_path / "tokens"):
        pass


def test_a_new_version_is_exchanged_without_a_failed_request(package: Path, scene: bytes, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "street"
    shutil.copytree(package, place)
    with running(str(place), reload_seconds=0.2) as client, ThreadPoolExecutor(4) as pool:
        stop = threading.Event()

        def ask() -> set[int]:
            seen = set()
            while not stop.is_set():
                seen.add(client.ask("POST", "/v1/models/street/segment", scene)[0])
            return seen

        asking = [pool.submit(ask) for _ in range(3)]
        new = tmp_path / "new"
        shutil.copytree(package, new)
        place.rename(tmp_path / "old")
        new.rename(place)
        for _ in range(100):
            time.sleep(0.1)
            if client.get("/v1/models")["models"][0]["version"] == 2:
                break
        stop.set()
        assert set().union(*(future.result() for future in asking)) == {200}
        assert client.get("/v1/models")["models"][0]["version"] == 2


def test_a_running_request_is_finished_before_the_service_ends(other: Path, scene: bytes) -> None:
    with ThreadPoolExecutor(4) as pool:
        with running(f"two={other}", at_once=1) as client:
            asked = [pool.submit(client.ask, "POST", "/v1/models/two/segment", scene) for _ in range(4)]
            time.sleep(0.05)
        replies = [future.result() for future in asked]
    assert [status for status, _, _ in replies] == [200] * 4


def test_a_bug_shows_nothing_of_the_machine(package: Path, scene: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("/secret/path")

    with running(f"one={package}") as client:
        monkeypatch.setattr("segship.serve.app.reply", broken)
        status, reason = client.refused("POST", "/v1/models/one/segment", scene)
        assert status == 500
        assert reason.startswith("a bug of the service, request ")
        monkeypatch.undo()
        assert client.segment(scene)


def test_names_of_models() -> None:
    assert named(["a/b", "c=a/d"]) == {"b": Path("a/b"), "c": Path("a/d")}
    for packages, reason in (([], "give the packages"), (["a b"], "cannot be part"), (["x/a", "y/a"], "two packages")):
        with pytest.raises(InputError, match=reason):
            named(packages)


def test_the_page_loads_nothing_from_elsewhere(client: Client) -> None:
    status, page, headers = client.ask("GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("page.js", "page.css", "sample-1.jpg"):
        status, data, _ = client.ask("GET", f"/page/{name}")
        assert status == 200
        assert b"//" not in data.replace(b"// ", b"") or name.endswith("jpg")
    assert b"http" not in page
    assert client.refused("GET", "/page/..%2fapplication.py")[0] == 404


def test_openapi_tells_every_route(client: Client) -> None:
    paths = client.get("/openapi.json")["paths"]
    assert {"/v1/models/{name}/segment", "/predictions/{name}", "/v2/models/{name}/infer", "/metrics"} <= set(paths)
    body = json.dumps(paths["/v1/models/{name}/segment"]["post"]["requestBody"])
    assert "image/*" in body


def test_masks_are_right_after_all_of_this(client: Client, package: Path, scene: bytes) -> None:
    with segship.Segmentor(package) as segmentor:
        assert np.array_equal(np.load(io.BytesIO(client.segment(scene))), segmentor(scene))


def test_pages_of_other_origins_may_ask_only_if_told_so(client: Client, package: Path, tmp_path: Path) -> None:
    asks = {
        "Origin": "https://example.org",
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "authorization",
    }
    assert client.ask("OPTIONS", "/v1/models/one/segment", **asks)[0] == 405
    assert "access-control-allow-origin" not in client.ask("GET", "/v1/models", Origin=asks["Origin"])[2]
    (tmp_path / "tokens").write_text("first\n")
    origins = ("https://example.org",)
    with running(f"one={package}", token_file=tmp_path / "tokens", cors_origins=origins) as told:
        status, _, headers = told.ask("OPTIONS", "/v1/models/one/segment", **asks)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://example.org")
        assert told.ask("OPTIONS", "/v1/models", **asks | {"Origin": "https://example.net"})[0] == 400
        status, _, headers = told.ask("GET", "/v1/models", Origin=origins[0])
        assert (status, headers["access-control-allow-origin"]) == (401, "https://example.org")
    with pytest.raises(InputError, match="no origin"):
        ServeOptions((str(package),), cors_origins=("example.org",))


def test_openapi_promises_what_happens(client: Client, package: Path, tmp_path: Path) -> None:
    told = client.get("/openapi.json")
    operations = [one for path in told["paths"].values() for one in path.values()]
    assert not any("422" in one["responses"] for one in operations)
    assert "components" not in told or "HTTPValidationError" not in told["components"].get("schemas", {})
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert {"400", "404", "413", "503"} <= set(told["paths"]["/v2/models/{name}/infer"]["post"]["responses"])
    (tmp_path / "tokens").write_text("first\n")
    with running(f"one={package}", token_file=tmp_path / "tokens") as guarded:
        guarded.secret = "first"  # noqa: S105
        paths = guarded.get("/openapi.json")["paths"]
    assert paths["/v1/models"]["get"]["security"] == [{"token": []}]
    assert "security" not in paths["/healthz"]["get"]
