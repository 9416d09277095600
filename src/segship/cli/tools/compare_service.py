"""``segship tools compare-service``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segship.cli.options import JsonFile

__all__ = ["compare_service"]


def compare_service(
    url: Annotated[str, typer.Argument(help="Of the service, as http://127.0.0.1:8080.")],
    package: Annotated[Path, typer.Argument(help="What it should serve.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    protocol: Annotated[
        Literal["segship", "torchserve", "v2"], typer.Option(help="How it is asked; v2: the Open Inference Protocol.")
    ] = "segship",
    name: Annotated[str, typer.Option(help="Of the model. Default: the package's folder's.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="File with the token to send in its first line.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for pictures, the service's mask beside the package's.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Compare the masks of a running service with those of a package; status 1 where a label differs."""
    from segship.cli import output
    from segship.serve.options import read_tokens
    from segship.tools.service import compare_service as run

    tokens = read_tokens(token_file)
    token = tokens[0].decode("ascii", "replace") if tokens else ""
    with output.progress_bar("comparing", len(images)) as progress:
        found = run(url, package, images, protocol=protocol, name=name, token=token, to=to, progress=progress)
    output.write_json(json_file, [{"image": str(one.image), "labels_equal": one.labels_equal} for one in found])
    least = min(found, key=lambda one: one.labels_equal)
    if not output.is_standard_output(json_file):
        equal = sum(one.labels_equal == 1 for one in found)
        output.say(f"{equal} of {len(found)} masks equal; least: {least.labels_equal:.4%} of the labels, {least.image}")
    if least.labels_equal < 1:
        raise typer.Exit(1)
