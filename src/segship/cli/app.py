"""The subcommands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from segship.cli.adopt import adopt
from segship.cli.archive import archive
from segship.cli.benchmark import benchmark
from segship.cli.demo import demo
from segship.cli.doctor import doctor
from segship.cli.evaluate import evaluate
from segship.cli.export import export
from segship.cli.info import info
from segship.cli.output import set_verbosity
from segship.cli.predict import predict
from segship.cli.report import report
from segship.cli.serve import serve
from segship.cli.tools import app as tools
from segship.cli.tune import tune
from segship.cli.verify import verify
from segship.cli.zoo import app as zoo
from segship.core.errors import InputError

__all__ = ["app", "main"]

app = typer.Typer(
    name="segship",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        from segship import __version__

        typer.echo(f"segship {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell each stage with its time, and tracebacks of errors.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Tell neither progress nor warnings: results and errors only.")
    ] = False,
) -> None:
    """Trained semantic-segmentation networks in; verified, fast, self-describing packages out."""
    if verbose and quiet:
        raise InputError("--verbose and --quiet contradict each other: give one of them")
    set_verbosity(quiet=quiet, verbose=verbose)


for _command in (export, tune, adopt, verify, predict, evaluate, benchmark, report, serve, archive, info, doctor, demo):
    app.command()(_command)
app.add_typer(tools)
app.add_typer(zoo)
