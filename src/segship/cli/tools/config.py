"""``segship tools config``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import OldSize, either, keep_apart
from segship.core.errors import InputError

__all__ = ["config"]

_DIFF = "diff"


def config(
    paths: Annotated[list[str], typer.Argument(metavar="CONFIG | diff A B", help="The config; or two to compare.")],
    format: Annotated[  # noqa: A002  (the word users know)
        str, typer.Option("--format", "-f", help="python (reads back equal), yaml or json.")
    ] = "python",
    graph: Annotated[
        bool, typer.Option("--graph", help="Print the network's modules as a tree, with the shapes they return.")
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="With --graph: height x width of the image. Default: 512x1024."),
    ] = None,
    depth: Annotated[int | None, typer.Option(min=0, help="With --graph: levels to show. Default: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
    cfg_options: Annotated[
        list[str] | None,
        typer.Option(help="Override of the config, key.sub=value; may be repeated. With diff: of the second."),
    ] = None,
    old_size: OldSize = None,
) -> None:
    """Print a config with its bases and overrides merged, its network as a tree, or what separates two configs.

    Configs are read, never run. diff exits with status 1 where they differ.
    """
    size = either(size, old_size, "--size", "--shape")
    keep_apart(out, *paths)
    if not graph and (size, depth) != (None, None):
        raise InputError("--size and --depth are about the tree: give --graph")
    if paths[0] == _DIFF and len(paths) == 3:  # noqa: PLR2004  (diff A B)
        if graph:
            raise InputError("diff compares the configs' values: leave --graph out")
        _print_differences(paths[1], paths[2], cfg_options, out)
    elif len(paths) != 1:
        raise InputError(f"{len(paths)} paths are given ({', '.join(paths)}): expected CONFIG, or diff A B")
    else:
        _write(_graph(paths[0], size, depth, cfg_options) if graph else _text(paths[0], format, cfg_options), out)


def _text(path: str, format: str, cfg_options: list[str] | None) -> str:  # noqa: A002
    from segship.tools.config import resolve

    return resolve(path, cfg_options=cfg_options).text(format)


def _graph(path: str, size: str | None, depth: int | None, cfg_options: list[str] | None) -> str:
    from segship.tools.extras import require_torch

    require_torch("Building the network")
    from segship.cli.options import read_size
    from segship.sources import load_network
    from segship.tools.config.graph import network_graph

    network = load_network(path, cfg_options=cfg_options, with_auxiliary=True)
    tree = network_graph(network, read_size(size))
    return "\n".join(tree.lines(depth)) + "\n"


def _print_differences(first: str, second: str, cfg_options: list[str] | None, out: Path | None) -> None:
    from segship.tools.config import compare

    differences = compare(first, second, cfg_options=cfg_options)
    _write("".join(f"{difference}\n" for difference in differences), out)
    if differences:
        raise typer.Exit(1)


def _write(text: str, out: Path | None) -> None:
    from segship.core.files import write_atomically

    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
