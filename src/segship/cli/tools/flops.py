"""``segship tools flops``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.options import JsonFile, OldSize

if TYPE_CHECKING:
    from segship.tools.flops import Complexity, Cost

__all__ = ["flops"]


def flops(
    source: Annotated[str, typer.Argument(help="Config or folder of the network, a package, or an ONNX file.")],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW", help="Height x width of the input, as 2048x1024. Default: 512x1024 or the nearest it takes."
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=0, help="Show modules down to this depth; 0 for the totals alone.")] = 2,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")
    ] = None,
    json_file: JsonFile = None,
    old_size: OldSize = None,
) -> None:
    """Count multiply-accumulates, parameters and activations, in all and module by module.

    MACs are counted as in MMSegmentation's tables: products, biases, normalisations, activation functions, poolings.
    The products alone stand beside them; twice that is what PyTorch's FlopCounterMode gives.
    """
    from segship.cli import output
    from segship.cli.options import either, keep_apart, read_size
    from segship.tools.flops import NOT_COUNTED, count

    keep_apart(json_file, source)
    found = count(source, read_size(either(size, old_size, "--size", "--shape")), cfg_options=cfg_options)
    output.write_json(json_file, found.as_dict())
    if output.is_standard_output(json_file):
        return
    if depth:
        _print_modules(found, depth)
    output.say(f"input   {found.shape[0]}x{found.shape[1]} (height x width), one image")
    output.say(f"MACs    {found.macs / 1e9:.2f} G, of which products {found.total.products / 1e9:.2f} G")
    output.say(f"FLOPs   {found.flops / 1e9:.2f} G (two for each product, as FlopCounterMode counts)")
    output.say(f"params  {found.params / 1e6:.2f} M, of which inference uses {found.inference_params / 1e6:.2f} M")
    output.say(f"note    {NOT_COUNTED}")


def _print_modules(found: Complexity, depth: int) -> None:
    from rich.table import Table

    from segship.cli import output

    table = Table()
    table.add_column("module", overflow="fold")
    table.add_column("type", overflow="fold")
    for name in ("params [M]", "MACs [G]", "share", "outputs [M]"):
        table.add_column(name, justify="right")
    for cost in found.modules:
        if cost.name.count(".") < depth:
            table.add_row(*_row(cost, found.macs))
    output.show(table)


def _row(cost: Cost, macs: int) -> tuple[str, ...]:
    share = f"{cost.macs / macs:.1%}" if macs else ""
    figures = f"{cost.params / 1e6:.3f}", f"{cost.macs / 1e9:.3f}", share, f"{cost.activations / 1e6:.2f}"
    return cost.name, cost.type, *figures
