"""``segship tools convert-weights``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert_weights"]

_SHOWN = 12


def convert_weights(
    checkpoint: Annotated[Path, typer.Argument(help="The original weights.")],
    out: Annotated[Path, typer.Argument(help="File to write, .pth.")],
    origin: Annotated[
        str | None,
        typer.Option(
            help="beit, cgnet, convnext, mit, mobilenet-v2, segmenter, stdc, swin, twins or vit. "
            "Default: recognised by the keys."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Load the result strictly into this config's network or backbone; position embeddings are resized."
        ),
    ] = None,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
    ] = False,
) -> None:
    """Convert weights of other repositories (timm's, the authors' own) to MMSegmentation's keys, which are ours.

    Every key is accounted for: a weight that is not known of such a network is an error, not left out.
    """
    from segship.cli import output
    from segship.cli.options import keep_apart
    from segship.tools.extras import require_torch

    require_torch("Converting weights")
    from segship.tools.weights import convert_weights as run
    from segship.tools.weights import origins

    keep_apart(out, checkpoint, config)
    done = run(checkpoint, out, origin=origin, config=config, cfg_options=cfg_options, trust=trust)
    output.say(f"{done.path}: {len(done.state)} weights of {origins()[done.origin].TITLE}")
    for note in done.notes:
        output.say(f"note: {note}")
    for what, keys in (("left behind", done.dropped), ("not in the original", done.absent)):
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            output.say(f"{what}: {', '.join(keys[:_SHOWN])}{more}")
