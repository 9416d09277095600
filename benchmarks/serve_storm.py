"""What a service bears: slow connections beside a normal client, many requests, and a killed worker.

For docs/tables/serve_table.py.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

TURNS = 4
CLIENTS = 4
LOOKS = 10  # at memory and files
WARM = 100  # requests that are not counted: the first ones are slower, and bring what stays
HEAD = b"POST /v1/models/model/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


class Service:
    """``segship serve`` of one package, which answers when this is made.

    Args:
        package: Its path.
        options: Further words of the command.
    """

    def __init__(self, package: str, *options: str) -> None:
        command = [sys.executable, "-m", "segship", "serve", f"model={package}", "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        address = re.search(r":(\d+)\s*$", self.process.stdout.readline())
        assert address is not None
        self.port = int(address[1])
        while not self._is_ready():
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            return self._one("GET", "/readyz")[0] == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def mask(self, image: bytes) -> bytes:
        """What the service answers to an image; nothing where that is no mask."""
        status, body = self._one("POST", "/v1/models/model/segment", image)
        return body if status == HTTPStatus.OK else b""

    def ask(self, image: bytes, requests: int) -> list[float]:
        """Seconds of each request; infinite where it had no mask."""
        seconds = []
        for _ in range(requests):
            begin = time.perf_counter()
            try:
                found = self.mask(image)
            except (OSError, http.client.HTTPException):
                found = b""
            seconds.append(time.perf_counter() - begin if found else float("inf"))
        return seconds

    def _one(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            reply = connection.getresponse()
            return reply.status, reply.read()

    def state(self) -> tuple[float, int, int]:
        """MiB of memory, open files, threads."""
        folder = Path(f"/proc/{self.process.pid}")
        status = (folder / "status").read_text()
        memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
        return memory / 1024, len(list((folder / "fd").iterdir())), threads

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


class Storm:
    """Connections that never ask for anything whole, until `stop`."""

    def __init__(self, port: int, connections: int) -> None:
        self._port, self._ended = port, threading.Event()
        self.opened = 0
        self._threads = [threading.Thread(target=self._keep, args=(number % 4,)) for number in range(connections)]
        for thread in self._threads:
            thread.start()

    def _keep(self, kind: int) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5) as sock:
                self.opened += 1
                sock.settimeout(0.5)
                sock.sendall((b"", b"", HEAD, HEAD[:20])[kind])
                if kind == 3:
                    sock.shutdown(socket.SHUT_WR)
                while not self._ended.is_set() and self._goes_on(sock, kind):
                    pass
            self._ended.wait(0.05)

    def _goes_on(self, sock: socket.socket, kind: int) -> bool:
        sock.sendall((b"", b"G", b"a", b"")[kind])
        try:
            return bool(sock.recv(4096))
        except TimeoutError:
            return True

    def stop(self) -> None:
        """End them."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


def measure_storm(package: str, image: bytes, connections: int = 200, requests: int = 400) -> dict[str, Any]:
    """A normal client alone, and beside slow connections, in turns, so that other work on the machine meets both."""
    service = Service(package)
    quiet, beside, opened = list[float](), list[float](), 0
    service.ask(image, WARM)
    for _ in range(TURNS):
        quiet += service.ask(image, requests // TURNS)
        storm = Storm(service.port, connections)
        time.sleep(1)
        beside += service.ask(image, requests // TURNS)
        storm.stop()
        opened += storm.opened
    service.stop()
    limit = 2 * float(np.percentile(quiet, 99))
    return {
        "connections": connections,
        "opened": opened,
        "within": sum(one <= limit for one in beside) / len(beside),
        "times": {"alone": _percentiles(quiet), "beside": _percentiles(beside)},
    }


def _percentiles(times: list[float]) -> dict[str, float]:
    known = [one for one in times if one < float("inf")]
    middle, slow = (1000 * float(np.percentile(known, rank)) for rank in (50, 99))
    return {"p50": middle, "p99": slow, "requests": len(times), "failed": len(times) - len(known)}


def measure_growth(package: str, image: bytes, requests: int = 100_000) -> list[dict[str, Any]]:
    """Memory, files and threads while so many requests are answered."""
    service = Service(package)
    service.ask(image, WARM)
    rows, failed = list[dict[str, Any]](), 0
    for look in range(LOOKS + 1):
        memory, files, threads = service.state()
        done = look * (requests // LOOKS)
        rows.append({"requests": done, "mib": memory, "files": files, "threads": threads, "failed": failed})
        print(rows[-1], flush=True)
        if look < LOOKS:
            with ThreadPoolExecutor(CLIENTS) as pool:
                for times in pool.map(lambda _: service.ask(image, requests // LOOKS // CLIENTS), range(CLIENTS)):
                    failed += sum(one == float("inf") for one in times)
    service.stop()
    return rows


def measure_killed(package: str, image: bytes, workers: int = 2) -> dict[str, Any]:
    """``kill -9`` of one of the workers while clients ask."""
    service = Service(package, "--workers", str(workers))
    right, stop, ended = service.mask(image), threading.Event(), list[tuple[float, bool]]()

    def ask() -> None:
        while not stop.is_set():
            begin = time.monotonic()
            try:
                ended.append((begin, service.mask(image) == right))
            except (OSError, http.client.HTTPException):
                ended.append((begin, False))

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask) for _ in range(CLIENTS)]
        time.sleep(2)
        killed = _workers(service.process.pid)[0]
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        while len(set(_workers(service.process.pid)) - {killed}) < workers:
            time.sleep(0.05)
        again = time.monotonic() - at
        time.sleep(5)
        stop.set()
        for future in asking:
            future.result()
    service.stop()
    failed = [begin for begin, is_right in ended if not is_right]
    return {
        "clients": CLIENTS,
        "requests": len(ended),
        "failed": len(failed),
        "failed_later": sum(begin > at for begin in failed),
        "seconds_to_a_new_one": again,
    }


def _workers(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
