"""What ``segship tools export-onnx`` and ``export-torchscript`` share: their options, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.tools.graphs import ExportedGraph

__all__ = [
    "CfgOptions",
    "Checkpoint",
    "Config",
    "InputImage",
    "OutputFile",
    "RescaleShape",
    "Shape",
    "Trust",
    "Verify",
    "write",
]

Config = Annotated[Path, typer.Argument(help="Config of the network.")]
Checkpoint = Annotated[Path | None, typer.Option(help="The trained weights. Default: random ones.")]
OutputFile = Annotated[Path, typer.Option(help="File to write.")]
InputImage = Annotated[Path | None, typer.Option(help="Image to verify with. Default: noise.")]
Shape = Annotated[
    str | None, typer.Option(help="Height x width of the input, as 512x1024. Default: the test pipeline's, or 512x512.")
]
RescaleShape = Annotated[str | None, typer.Option(help="Height x width of the output. Default: the input's.")]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the file with the network.")]
CfgOptions = Annotated[list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
]


def write(
    run: Callable[..., ExportedGraph], *files: Any, shape: str | None, rescale_shape: str | None, show: bool, **how: Any
) -> None:
    """Export, and print what was written and how it compares.

    Args:
        run: The function of `segship.tools.graphs`.
        files: Config, checkpoint and the file to write.
        shape: Height x width of the input, as the command line has it.
        rescale_shape: Of the output, likewise.
        show: Print the graph.
        how: Further arguments of ``run``.
    """
    from segship.cli import output
    from segship.tools.sizes import parse_size

    with output.stages() as stage:
        stage("exporting")
        done = run(
            *files,
            shape=parse_size(shape) if shape else None,
            rescale_shape=parse_size(rescale_shape) if rescale_shape else None,
            **how,
        )
    if show:
        output.say(done.text)
    for check in done.checks:
        size = "x".join(map(str, check.input))
        output.say(
            f"input {size}: {check.labels_equal:.4%} of the labels equal, logits differ by {check.difference:.1e}"
        )
    for note in done.notes:
        output.say(f"note: {note}")
    kind = "dynamic" if done.dynamic else f"{done.shape[0]}x{done.shape[1]}"
    output.say(f"{done.path}: {kind}, {done.output}, {'verified' if done.checks else 'not verified'}")
