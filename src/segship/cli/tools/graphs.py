"""What ``segship tools export-onnx`` and ``export-torchscript`` share: their options, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segship.core.provenance import RANDOM_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.tools.graphs import ExportedGraph

__all__ = [
    "CfgOptions",
    "Checkpoint",
    "Config",
    "InputImage",
    "OldRescaleSize",
    "OutputFile",
    "RescaleSize",
    "Size",
    "Trust",
    "Verify",
    "write",
]

Config = Annotated[Path, typer.Argument(help="Config of the network.")]
Checkpoint = Annotated[Path | None, typer.Option(help="The trained weights, where the config does not bring them.")]
OutputFile = Annotated[Path, typer.Option(help="File to write.")]
InputImage = Annotated[Path | None, typer.Option(help="Image to verify with. Default: noise.")]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="HxW", help="Height x width of the input, as 512x1024. Default: the test pipeline's, or 512x512."
    ),
]
RescaleSize = Annotated[
    str | None, typer.Option(metavar="HxW", help="Height x width of the output. Default: the input's.")
]
OldRescaleSize = Annotated[str | None, typer.Option("--rescale-shape", hidden=True)]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the file with the network.")]
CfgOptions = Annotated[list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
]


def write(
    run: Callable[..., ExportedGraph], *files: Any, size: str | None, rescale_size: str | None, show: bool, **how: Any
) -> None:
    """Export, and print what was written and how it compares.

    Args:
        run: The function of `segship.tools.graphs`.
        files: Config, checkpoint and the file to write.
        size: Height x width of the input, as the command line has it.
        rescale_size: Of the output, likewise.
        show: Print the graph.
        how: Further arguments of ``run``.
    """
    from segship.cli import output
    from segship.cli.options import keep_apart, read_size

    config, checkpoint, out = files
    keep_apart(out, config, checkpoint, how.get("image"))
    with output.stages() as stage:
        stage("exporting")
        done = run(
            *files,
            shape=read_size(size),
            rescale_shape=read_size(rescale_size),
            **how,
        )
    if show:
        output.say(done.text)
    for check in done.checks:
        size = "x".join(map(str, check.input))
        output.say(
            f"input {size}: {check.labels_equal:.4%} of the labels equal, logits differ by {check.max_difference:.1e}"
        )
    for note in done.notes:
        output.say(f"note: {note}")
    random = f"; {RANDOM_WEIGHTS}" if RANDOM_WEIGHTS in done.notes else ""
    kind = "dynamic" if done.dynamic else f"{done.shape[0]}x{done.shape[1]}"
    output.say(f"{done.path}: {kind}, {done.output}, {'verified' if done.checks else 'not verified'}{random}")
