"""``segship tools NAME``: one file for each tool."""

from __future__ import annotations

import typer

from segship.cli.tools.compare_service import compare_service
from segship.cli.tools.config import config
from segship.cli.tools.convert_weights import convert_weights
from segship.cli.tools.export_onnx import export_onnx
from segship.cli.tools.export_torchscript import export_torchscript
from segship.cli.tools.flops import flops
from segship.cli.tools.log import log
from segship.cli.tools.publish import publish
from segship.cli.tools.tensors import app as tensors

__all__ = ["app"]

app = typer.Typer(
    name="tools",
    help="Count, publish, print, plot, convert, archive.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (flops, publish, config, log, convert_weights, export_onnx, export_torchscript, compare_service):
    app.command()(_command)
app.add_typer(tensors)
