"""``segship serve``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import Device

__all__ = ["serve"]


def serve(
    packages: Annotated[list[str], typer.Argument(help="Packages, or NAME=PACKAGE; without a name, its folder's.")],
    host: Annotated[str, typer.Option(help="Address to listen at; the default is reached from this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8080,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Speak the Open Inference Protocol over gRPC there, too.")
    ] = None,
    device: Device = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the engine, for each mask.")] = 1,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Masks made at the same time, of all models. Default: cores / threads.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token in each line, one of which every client must send.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may ask from a browser, as https://example.org; * is all. Repeatable."),
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = 50_000_000,
    max_body: Annotated[int, typer.Option(min=1, help="Refuse requests with more bytes.")] = 64 * 2**20,
    queue: Annotated[int, typer.Option(min=0, help="Requests that wait; further ones are told to come back.")] = 64,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS|local", help="Ray cluster that runs the replicas; local starts one."),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Open engines that carry code, which then runs. Only from people you trust."),
    ] = False,
) -> None:
    """Serve exact masks over HTTP, with a page to try them on.

    Needs `pip install segship[serve]`. Clients may speak the Open Inference Protocol or TorchServe's as well; /metrics
    is Prometheus'. SIGTERM finishes what runs; a package that is replaced is exchanged without a failed request.
    """
    from segship.cli import output
    from segship.core.errors import MissingExtraError

    try:
        from segship.serve import Limits, ServeOptions, serve_on_ray
        from segship.serve import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError("Serving", "serve", error.name or "fastapi") from None
    if grpc_port is not None and find_spec("grpc") is None:
        raise MissingExtraError("gRPC", "grpc", "grpc")
    options = ServeOptions(
        packages=tuple(packages),
        host=host,
        port=port,
        grpc_port=grpc_port,
        device=device,
        threads=threads,
        at_once=at_once,
        workers=workers,
        token_file=token_file,
        cors_origins=tuple(cors_origin or ()),
        trust=trust,
        limits=Limits(max_pixels=max_pixels, max_body=max_body, queue=queue),
    )
    listening = lambda address: output.say(f"listening at {address}")  # noqa: E731
    if ray is not None:
        serve_on_ray(options, ray, listening=listening)
    else:
        run(options, listening=listening)
