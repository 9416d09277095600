"""Processor time of a request to ``segship serve`` against a plain loop with the same package, image and codec.

::

    python benchmarks/serve.py PACKAGE IMAGE [--rounds 5] [--requests 64] [--clients 1,8] [--torchserve] [--ray]

The services and the loop take turns, each in processes of its own with one thread of the engine; what is compared is
user and system time of a service's whole tree of processes for each image, which does not depend on what else the
machine does. The loop makes as many masks at a time as there are clients, or cores. ``--ray`` adds the same application
on Ray Serve (extra ``ray``). ``--torchserve`` puts the same package behind TorchServe (``segship archive --format
torchserve``), with a worker for each core: `pip install torchserve==0.12.0 captum pyyaml` beside Segship, and a JDK 17.
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
    """The plain loop; for each number that comes it sends the milliseconds of an image, that many made at a time."""
    from segship import Segmentor
    from segship.vision.palette import encode_mask

    with Segmentor(package, threads=1) as segmentor:

        def one(_: int) -> None:
            encode_mask(segmentor(image), segmentor.spec.palette)

        one(0)
        for at_once in iter(pipe.recv, None):
            with ThreadPoolExecutor(at_once) as pool:
                before = resource.getrusage(resource.RUSAGE_SELF)
                list(pool.map(one, range(requests)) if at_once > 1 else map(one, range(requests)))
                after = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / requests)


class Loop:
    """The plain loop, in a process of its own that stays warm, as a service does."""

    def __init__(self, package: str, image: bytes, requests: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=loop, args=(package, image, requests, theirs))
        self._process.start()

    def milliseconds(self, at_once: int) -> float:
        """Of an image, that many made at a time."""
        self._pipe.send(at_once)
        return float(self._pipe.recv())

    def stop(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join()


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
        """Of all processes of its session, and below them: Ray's have sessions of their own."""
        known = dict[int, tuple[int, int, int]]()  # parent, session, ticks
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                known[int(process.name)] = int(fields[1]), int(fields[3]), int(fields[11]) + int(fields[12])

        def is_mine(number: int) -> bool:
            parent, session, _ = known.get(number, (0, 0, 0))
            return session == self._process.pid or (parent > 1 and is_mine(parent))

        return sum(ticks for number, (_, _, ticks) in known.items() if is_mine(number))

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
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        with contextlib.suppress(ProcessLookupError):
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


def ray_serve(package: str) -> Service:
    """``segship serve --ray local``: Ray Serve with the same application, as many replicas as cores."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "segship", "serve", f"model={package}", "--ray", "local", "--port", str(port)]
    return Service(command, "/v1/models/model/segment", port)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--torchserve", action="store_true")
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    image, clients = options.image.read_bytes(), [int(part) for part in options.clients.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        services = {"segship serve": ours(options.package)}
        if options.torchserve:
            services["TorchServe"] = torchserve(options.package, Path(folder))
        if options.ray:
            services["Ray Serve"] = ray_serve(options.package)
        plain = Loop(options.package, image, options.requests)
        try:
            show(measure(services, plain, image, options.rounds, options.requests, clients))
        finally:
            plain.stop()
            for service in services.values():
                service.stop()


Times = dict[tuple[str, int], list[float]]
"""Milliseconds of each round, by what was measured and the number of clients."""


def measure(
    services: dict[str, Service], plain: Loop, image: bytes, rounds: int, requests: int, clients: list[int]
) -> Times:
    """Ask all in turns, so that other work on the machine meets them alike."""
    times: Times = {(name, number): [] for number in clients for name in ("plain loop", *services)}
    for round_number in range(rounds + 1):  # the first one is not counted
        for (name, number), found in times.items():
            at_once = min(number, os.cpu_count() or 1)
            service = services.get(name)
            taken = service.milliseconds(image, requests, number) if service else plain.milliseconds(at_once)
            if round_number:
                found.append(taken)
    return times


def rows(times: Times) -> list[dict[str, Any]]:
    """The lines of the table; a ratio is the median of the rounds', each to the loop of its own round."""
    return [
        {
            "what": name,
            "clients": number,
            "ms": statistics.median(found),
            "least": min(found),
            "most": max(found),
            "ratio": statistics.median(a / b for a, b in zip(found, times["plain loop", number], strict=True)),
        }
        for (name, number), found in times.items()
    ]


def show(times: Times) -> None:
    """Print the table."""
    print("| what | clients | CPU ms an image | spread | ratio |\n|---|---|---|---|---|")
    for row in rows(times):
        spread = f"{row['least']:.1f}-{row['most']:.1f}"
        print(f"| {row['what']} | {row['clients']} | {row['ms']:.1f} | {spread} | {row['ratio']:.3f} |")


if __name__ == "__main__":
    main()
