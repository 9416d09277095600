"""Processor time of a request to ``segship serve`` against a plain loop with the same package, image and codec.

::

    python benchmarks/serve.py PACKAGE IMAGE [--rounds 5] [--requests 60] [--clients 1,8] [--torchserve]

The services and the loop take turns, each in processes of its own with one thread of the engine; what is compared is
user and system time of a service's whole tree of processes for each image, which does not depend on what else the
machine does. ``--torchserve`` puts the same package behind TorchServe (``segship archive --format torchserve``), with a
worker for each core: `pip install torchserve==0.12.0 captum pyyaml` beside Segship, and a JDK 17.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import multiprocessing
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

PATIENCE = 180  # seconds until a service has to answer
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
    """A process that answers requests, with all that it starts.

    Args:
        command: Starts it.
        path: Of its route.
        port: It listens at; None: it says so in its first line.
        options: As for `subprocess.Popen`.
    """

    def __init__(self, command: list[str], path: str, port: int | None = None, **options: Any) -> None:
        self._path = path
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, **options
        )
        assert self._process.stdout is not None
        if port is None:
            address = re.search(r":(\d+)\s*$", self._process.stdout.readline())
            assert address is not None
            port = int(address[1])
        else:
            threading.Thread(target=self._process.stdout.read, daemon=True).start()
        self._port = port

    def _ask(self, image: bytes, requests: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        for _ in range(requests):
            connection.request("POST", self._path, image)
            reply = connection.getresponse()
            answer = reply.read()
            if reply.status != HTTPStatus.OK:
                raise ConnectionError(answer[:200])
        connection.close()

    def _ticks(self) -> int:
        """Of all processes of its session."""
        found = 0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._process.pid:
                    found += int(fields[11]) + int(fields[12])
        return found

    def milliseconds(self, image: bytes, requests: int, clients: int) -> float:
        """Processor time of a request, with so many clients at once."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._ask(image, 2)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        before = self._ticks()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda _: self._ask(image, requests // clients), range(clients)))
        return 1000 * (self._ticks() - before) / TICKS / (requests // clients * clients)

    def stop(self) -> None:
        """End it, and all that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def ours(package: str) -> Service:
    """``segship serve``."""
    command = [sys.executable, "-m", "segship", "serve", f"model={package}", "--port", "0"]
    return Service(command, "/v1/models/model/segment")


def torchserve(package: str, folder: Path) -> Service:
    """TorchServe with the same package."""
    import segship
    from segship.deploy.archive import archive

    store = archive(package, folder / "store", format="torchserve", name="model")
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        ports = [sock.getsockname()[1] for sock in socks]
    names = ("inference_address", "management_address", "metrics_address")
    lines = [f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False)]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}", f"model_store={store}"]
    lines += [f"default_workers_per_model={os.cpu_count()}", "load_models=all", "disable_token_authorization=true"]
    (folder / "ts.properties").write_text("\n".join(lines) + "\n")
    environment = os.environ | {
        "LOG_LOCATION": str(folder),
        "METRICS_LOCATION": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(segship.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    program = "from ts.model_server import start; start()"
    command = [sys.executable, "-c", program, "--start", "--ncs", "--foreground", "--ts-config", "ts.properties"]
    return Service(command, "/predictions/model", ports[0], cwd=folder, env=environment)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--torchserve", action="store_true")
    options = parser.parse_args()
    image, clients = options.image.read_bytes(), [int(part) for part in options.clients.split(",")]
    plain: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        services = {"segship serve": ours(options.package)}
        if options.torchserve:
            services["TorchServe"] = torchserve(options.package, Path(folder))
        served: dict[tuple[str, int], list[float]] = {(name, number): [] for name in services for number in clients}
        try:
            for _ in range(options.rounds):
                plain.append(of_loop(options.package, image, options.requests))
                for (name, number), times in served.items():
                    times.append(services[name].milliseconds(image, options.requests, number))
        finally:
            for service in services.values():
                service.stop()
    print("| what | clients | CPU ms an image | spread | ratio |\n|---|---|---|---|---|")
    middle = statistics.median(plain)
    for (name, number), times in ((("plain loop", 1), plain), *served.items()):
        found = statistics.median(times)
        print(f"| {name} | {number} | {found:.1f} | {min(times):.1f}-{max(times):.1f} | {found / middle:.3f} |")


if __name__ == "__main__":
    main()
