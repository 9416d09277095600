"""A service of many machines: replicas of the application on a Ray cluster, as many as the requests ask for."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

from segship.core.cluster import connected
from segship.core.errors import BackendError, InputError, MissingExtraError, one_line
from segship.serve.app import application
from segship.serve.models import Models, named
from segship.serve.options import read_tokens
from segship.serve.outermost import log_as_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from segship.serve.options import ServeOptions
    from segship.serve.outermost import Outermost

__all__ = ["serve_on_ray"]

_APPLICATION = "segship"
_CPU = "cpu"
_UP_SECONDS, _DOWN_SECONDS = 5, 60  # how long there must be more, or fewer, requests


def serve_on_ray(options: ServeOptions, address: str, *, listening: Callable[[str], None] | None = None) -> None:
    """Serve packages from a cluster until SIGINT or SIGTERM comes; running requests are finished first.

    Every machine must see the packages, and the file of tokens, under the same paths.

    Args:
        options: What is served, and within which limits. ``workers`` is the largest number of replicas; 1: as many as
            the cluster has processors for.
        address: Of the cluster, or ``local`` to start one on this machine.
        listening: Called with the address, once requests are taken.

    Raises:
        SegshipError: A package cannot be opened.
        InputError: An option is of one machine alone.
        MissingExtraError: Ray Serve is not installed.
        BackendError: No cluster answers, or the replicas do not start.
    """
    if options.grpc_port is not None or options.port == 0:
        raise InputError(
            "--ray: gRPC is not spoken, and the port is one that all machines have free: give --port alone"
        )
    if options.at_once is not None and options.at_once > 1:
        raise InputError("--ray makes one mask at a time in each replica: leave --at-once out")
    named(options.packages)
    read_tokens(options.token_file)
    Models(options).close()  # what cannot be opened is told here, and not by each replica
    replica = dataclasses.replace(options, at_once=1, workers=1)
    with connected(address, "Serving from a cluster") as ray, _until_told() as told:
        try:
            serve = importlib.import_module("ray.serve")
        except ImportError as error:
            raise MissingExtraError("Serving from a cluster", "ray", "ray.serve") from error
        try:
            logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what it tells of its start is told below
            _start(ray, serve, replica, options.workers)
            if listening is not None:
                listening(f"http://{options.host}:{options.port}")
            told.wait()
        finally:
            serve.shutdown()


def _start(ray: Any, serve: Any, options: ServeOptions, workers: int) -> None:
    threads, limits = options.engine_threads, options.limits
    needs = {"num_cpus": threads} | ({} if (options.device or _CPU).startswith(_CPU) else {"num_gpus": 1})
    most = workers if workers > 1 else max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    deployment = serve.deployment(
        name="service",
        ray_actor_options=needs,
        max_ongoing_requests=2,  # one is read or sent while a mask is made
        max_queued_requests=limits.queue,
        graceful_shutdown_timeout_s=limits.drain_seconds,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": most,
            "target_ongoing_requests": 1,  # those that wait count, too
            "upscale_delay_s": _UP_SECONDS,
            "downscale_delay_s": _DOWN_SECONDS,
        },
    )
    built = serve.ingress(_application_of(options))()
    where = {"host": options.host, "port": options.port, "request_timeout_s": limits.reply_seconds}
    quiet = {"log_level": "ERROR", "enable_access_log": False}  # the application writes its own
    try:
        serve.start(http_options=where, logging_config=quiet)
        serve.run(deployment(built).bind(), name=_APPLICATION, route_prefix="/", logging_config=quiet)
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"the replicas do not start: {one_line(error)}") from error


def _application_of(options: ServeOptions) -> Callable[[], Outermost]:
    def build() -> Outermost:
        log_as_json()
        return application(options)

    return build


@contextlib.contextmanager
def _until_told() -> Any:
    """An event that SIGINT and SIGTERM set."""
    told = threading.Event()

    def tell(_: int, __: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
