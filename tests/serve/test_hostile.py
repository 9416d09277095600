"""A service of its own, as users start it: what is sent to it costs no memory, and a killed worker is one worker."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from PIL import Image

from support.hostile_images import bad_images, bombs

from .conftest import Client
from .test_bounds import talk

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

MOST_PIXELS = 2_000_000


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[tuple[Client, int]]:
    """The service, and its process."""
    command = [sys.executable, "-m", "segship", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)\s*$", process.stdout.readline())
            assert found is not None
            client = Client(int(found[1]))
            for _ in range(300):
                with contextlib.suppress(OSError, HTTPException):
                    if client.ask("GET", "/readyz")[0] == 200:
                        break
                time.sleep(0.1)
            yield client, process.pid
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def alone(package: Path) -> Iterator[tuple[Client, int]]:
    with started(f"one={package}", "--max-pixels", MOST_PIXELS) as service:
        yield service


def bound(process: int, before: int) -> None:
    """Require that the memory grew by at most twice the largest image that is allowed."""
    grown = highest(process) - before
    assert grown <= 2 * 3 * MOST_PIXELS, f"{grown / 2**20:.1f} MiB"


def highest(process: int) -> int:
    """Bytes that a process held at most since it was last asked."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return 1024 * int(found[1])


def test_bombs_of_every_format_are_refused_before_they_unfold(alone: tuple[Client, int], scene: bytes) -> None:
    client, process = alone
    right = client.segment(scene)
    sent = bombs()
    assert all(len(image) < MOST_PIXELS for image in sent.values())
    highest(process)
    before = highest(process)
    for name, image in sent.items():
        for path in ("/v1/models/one/segment", "/predictions/one"):
            status, body, _ = client.ask("POST", path, image)
            assert status == 400, (name, body)
        assert client.segment(scene) == right, name
    bound(process, before)


def test_the_largest_image_takes_twice_its_size(alone: tuple[Client, int], scene: bytes) -> None:
    client, process = alone
    client.segment(scene)
    side = int(MOST_PIXELS**0.5)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(scene)).resize((side, side)).save(buffer, "JPEG")
    highest(process)
    before = highest(process)
    for _ in range(4):
        client.segment(buffer.getvalue(), "png")
    bound(process, before + 12 * 2**20)  # the encoded image, and what the threads and their allocators keep


def test_bad_files_and_bodies_cost_no_memory(alone: tuple[Client, int], scene: bytes) -> None:
    client, process = alone
    right = client.segment(scene)
    head = b"POST /v1/models/one/segment HTTP/1.1\r\nHost: a\r\n"
    both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    raw = {
        "65 537 chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 65_537 + b"0\r\n\r\n"),
        "a length below zero": (head + b"Content-Length: -1\r\n\r\nabc",),
        "two lengths": (head + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",),
        "a length and chunks": (head + both,),
        "a chunk without end": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"fffffffffffffffff\r\n"),
        "a length of 1 TB": (head + b"Content-Length: 1099511627776\r\n\r\nabc",),
    }
    deep = b'{"inputs": ' + b'[{"a": ' * 50_000
    highest(process)
    before = highest(process)
    for name, parts in raw.items():
        answer = talk(client.port, *parts)
        assert re.match(rb"HTTP/1.1 4\d\d ", answer), (name, answer)
        assert b'{"error":' in answer, (name, answer)
        assert client.segment(scene) == right, name
    for name, image in bad_images(scene).items():
        assert client.refused("POST", "/predictions/one", image)[0] == 400, name
    assert client.refused("POST", "/v2/models/one/infer", deep)[0] == 400
    assert client.refused("POST", "/v1/models/one/segment", bytes(64 * 2**20 + 1))[0] == 413
    many = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 50_000 + b"--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    assert client.refused("POST", "/v1/models/one/segment", many, Content_Type=kind)[0] == 400
    assert client.segment(scene) == right
    bound(process, before)


def children(process: int) -> list[int]:
    """The workers of a service."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


@pytest.mark.slow
def test_a_killed_worker_takes_its_own_requests_alone(package: Path, scene: bytes) -> None:
    with started(f"one={package}", "--workers", 2) as (client, process):
        right = client.segment(scene)
        while len(children(process)) < 2:
            time.sleep(0.1)
        stop, ended = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                begin = time.monotonic()
                try:
                    ended.append((begin, client.segment(scene) == right))
                except (OSError, HTTPException):
                    ended.append((begin, False))

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            time.sleep(0.5)
            killed = children(process)[0]
            os.kill(killed, signal.SIGKILL)
            after = time.monotonic()
            while len(set(children(process)) - {killed}) < 2 and time.monotonic() < after + 30:
                time.sleep(0.1)
            time.sleep(1)
            stop.set()
            for future in asking:
                future.result()
        failed = [begin for begin, is_right in ended if not is_right]
        assert len(failed) <= 4, "more failed than were under way"
        assert all(begin <= after for begin in failed)
        assert len(set(children(process)) - {killed}) == 2
        assert client.segment(scene) == right
        assert b"segship_working 0.0" in client.ask("GET", "/metrics")[1]


def test_a_client_that_is_gone_before_its_reply_frees_its_place(alone: tuple[Client, int], scene: bytes) -> None:
    client, _ = alone
    head = f"POST /v1/models/one/segment HTTP/1.1\r\nHost: a\r\nContent-Length: {len(scene)}\r\n\r\n".encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", client.port)) as sock:
            sock.sendall(head + scene)
    right = client.segment(scene)
    assert client.segment(scene) == right
    for _ in range(100):
        figures = client.ask("GET", "/metrics")[1]
        if b"segship_working 0.0" in figures and b"segship_queue 0.0" in figures:
            return
        time.sleep(0.1)
    pytest.fail("places are still taken")


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_finishes_what_runs_and_ends_with_status_0(workers: int, package: Path, scene: bytes) -> None:
    with started(f"one={package}", "--workers", workers) as (client, process):
        right = client.segment(scene)
        with ThreadPoolExecutor(8) as pool:
            masks = [pool.submit(client.segment, scene) for _ in range(8)]
            while not any(mask.done() for mask in masks):
                time.sleep(0.001)
            os.kill(process, signal.SIGTERM)
            found = [mask.result() for mask in masks if mask.exception() is None]
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert found == len(found) * [right]
        assert len(found) > 1
        with pytest.raises(OSError, match="refused"):
            client.ask("GET", "/healthz")
