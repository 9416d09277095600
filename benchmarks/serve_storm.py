"""What a service bears: slow connections beside a normal client, and many requests without growth.

::

    python benchmarks/serve_storm.py PACKAGE IMAGE [--connections 200] [--quiet 200] [--requests 100000]

First a normal client alone: its 99th percentile, quiet. Then the same client beside connections that are silent, drip
headers, drip a body, or are half closed, each opened again as soon as the service ends it. Then so many requests from
four clients, with the memory and the open files of the process read along the way. The quiet figure and the other
one are taken in turns, so that other work on the machine meets both.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import numpy as np

TURNS = 4
CLIENTS = 4
LOOKS = 10  # at memory and files
HEAD = b"POST /v1/models/model/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


class Service:
    """``segship serve`` of one package."""

    def __init__(self, package: str) -> None:
        command = [sys.executable, "-m", "segship", "serve", f"model={package}", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        address = re.search(r":(\d+)\s*$", self._process.stdout.readline())
        assert address is not None
        self.port = int(address[1])

    def ask(self, image: bytes, requests: int) -> list[float]:
        """Seconds of each request; infinite where it had no mask."""
        seconds = []
        for _ in range(requests):
            begin = time.perf_counter()
            try:
                status = self._one(image)
            except (OSError, http.client.HTTPException):
                status = 0
            seconds.append(time.perf_counter() - begin if status == HTTPStatus.OK else float("inf"))
        return seconds

    def _one(self, image: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/models/model/segment", image)
            reply = connection.getresponse()
            reply.read()
            return reply.status

    def state(self) -> tuple[float, int, int]:
        """MiB of memory, open files, threads."""
        folder = Path(f"/proc/{self._process.pid}")
        status = (folder / "status").read_text()
        memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
        return memory / 1024, len(list((folder / "fd").iterdir())), threads

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


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


def measure_storm(service: Service, image: bytes, connections: int, requests: int) -> None:
    """Print the normal client's figures, alone and beside the storm."""
    quiet, beside, opened = list[float](), list[float](), 0
    for _ in range(TURNS):
        quiet += service.ask(image, requests // TURNS)
        storm = Storm(service.port, connections)
        time.sleep(1)
        beside += service.ask(image, requests // TURNS)
        storm.stop()
        opened += storm.opened
    limit = 2 * float(np.percentile(quiet, 99))
    print("| | p50 ms | p99 ms | without a mask |\n|---|---|---|---|")
    for name, times in (("alone", quiet), (f"beside {connections} slow connections ({opened} opened)", beside)):
        known = [one for one in times if one < float("inf")]
        middle, slow = (1000 * float(np.percentile(known, rank)) for rank in (50, 99))
        print(f"| {name} | {middle:.1f} | {slow:.1f} | {len(times) - len(known)} of {len(times)} |")
    within = sum(one <= limit for one in beside) / len(beside)
    print(f"\nWithin twice the quiet p99: {100 * within:.1f} % of the requests beside the storm.\n", flush=True)


def measure_growth(service: Service, image: bytes, requests: int) -> None:
    """Print memory, files and threads while so many requests are answered."""
    print("| requests | MiB | open files | threads | without a mask |\n|---|---|---|---|---|")
    failed = 0
    for look in range(LOOKS + 1):
        memory, files, threads = service.state()
        done = look * (requests // LOOKS)
        print(f"| {done:,} | {memory:.1f} | {files} | {threads} | {failed} |", flush=True)
        if look < LOOKS:
            with ThreadPoolExecutor(CLIENTS) as pool:
                for times in pool.map(lambda _: service.ask(image, requests // LOOKS // CLIENTS), range(CLIENTS)):
                    failed += sum(one == float("inf") for one in times)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("image", type=Path)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--quiet", type=int, default=200, help="requests of the normal client, each way")
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    image = options.image.read_bytes()
    service = Service(options.package)
    try:
        while service.ask(image, 1) == [float("inf")]:
            time.sleep(0.2)
        if options.connections:
            measure_storm(service, image, options.connections, options.quiet)
        if options.requests:
            measure_growth(service, image, options.requests)
    finally:
        service.stop()


if __name__ == "__main__":
    main()
