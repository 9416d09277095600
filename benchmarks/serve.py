"""Processor time of a request to ``segship serve`` against a plain loop with the same package, image and codec.

::

    python benchmarks/serve.py PACKAGE IMAGE [--rounds 5] [--requests 60] [--clients 1,8]

The service and the loop take turns, each a process of its own with one thread of the engine; what is compared is user
and system time of the whole process for each image, which does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

TICKS = os.sysconf("SC_CLK_TCK")


def loop(package: str, image: bytes, requests: int, pipe: multiprocessing.connection.Connection) -> None:
    """The plain loop; it sends the milliseconds of an image."""
    from segship import Segmentor
    from segship.vision.palette import encode_mask

    with Segmentor(package, threads=1) as segmentor:
        segmentor(image)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(requests):
            encode_mask(segmentor(image), segmentor.spec.palette)
        after = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / requests)


def of_loop(package: str, image: bytes, requests: int) -> float:
    """Milliseconds of an image in a loop, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=loop, args=(package, image, requests, theirs))
    process.start()
    milliseconds = ours.recv()
    process.join()
    return float(milliseconds)


class Service:
    """``segship serve`` of one package."""

    def __init__(self, package: str) -> None:
        command = [sys.executable, "-m", "segship", "serve", f"model={package}", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        address = re.search(r":(\d+)\s*$", self._process.stdout.readline())
        assert address is not None
        self._port = int(address[1])

    def _ask(self, image: bytes, requests: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        for _ in range(requests):
            connection.request("POST", "/v1/models/model/segment", image)
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            reply.read()
        connection.close()

    def _ticks(self) -> int:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def milliseconds(self, image: bytes, requests: int, clients: int) -> float:
        """Processor time of a request, with so many clients at once."""
        while True:
            try:
                self._ask(image, 2)
                break
            except ConnectionError:
                time.sleep(0.2)
        before = self._ticks()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda _: self._ask(image, requests // clients), range(clients)))
        return 1000 * (self._ticks() - before) / TICKS / (requests // clients * clients)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--clients", default="1,8")
    options = parser.parse_args()
    image, clients = options.image.read_bytes(), [int(part) for part in options.clients.split(",")]
    service = Service(options.package)
    plain: list[float] = []
    served: dict[int, list[float]] = {number: [] for number in clients}
    try:
        for _ in range(options.rounds):
            plain.append(of_loop(options.package, image, options.requests))
            for number in clients:
                served[number].append(service.milliseconds(image, options.requests, number))
    finally:
        service.stop()
    table = Table("what", "CPU ms an image", "spread", "ratio", title=f"{options.rounds} rounds")
    middle = statistics.median(plain)
    for name, times in [("loop", plain), *((f"{number} clients", served[number]) for number in clients)]:
        row = (
            f"{statistics.median(times):.1f}",
            f"{min(times):.1f}-{max(times):.1f}",
            f"{statistics.median(times) / middle:.3f}",
        )
        table.add_row(name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
