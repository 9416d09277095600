"""``segship archive``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["archive"]


def archive(
    package: Annotated[Path, typer.Argument(help="Folder written by `segship export`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    format: Annotated[  # noqa: A002
        Literal["triton", "torchserve", "ovms", "kserve"], typer.Option(help="The server that shall open it.")
    ],
    name: Annotated[str | None, typer.Option(help="Of the model. Default: the package's folder's.")] = None,
) -> None:
    """Write what another server opens: a model repository or an archive.

    Triton, OpenVINO Model Server and KServe run the engine alone, so that the package has to be one that prepares and
    decides itself: `segship export ... --embed pre,post`. TorchServe's archive takes any package.
    """
    from segship.cli import output
    from segship.deploy.archive import archive as run

    run(package, out, format=format, name=name)
    output.say(f"{package} -> {out}, for {format}")
