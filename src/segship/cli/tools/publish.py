"""``segship tools publish``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import JsonFile, keep_apart

__all__ = ["publish"]


def publish(
    checkpoint: Annotated[Path, typer.Argument(help="What training wrote.")],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="File to write, .pth or .safetensors; the digest is added to its name. Default: CHECKPOINT's own name."
        ),
    ] = None,
    keep_meta: Annotated[
        bool, typer.Option("--keep-meta", help="Keep all meta data, the training config with its paths included.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Strip a checkpoint to what others need, name it by its SHA-256, read it back and compare.

    Optimizer, message hub, moving averages and devices are left behind; class names and colours stay.
    """
    from segship.cli import output
    from segship.tools.extras import require_torch

    require_torch("Publishing")
    from segship.tools.publish import publish as run

    keep_apart(json_file, checkpoint)
    done = run(checkpoint, out, keep_meta=keep_meta, trust=trust)
    output.write_json(json_file, vars(done) | {"path": str(done.path)})
    if not output.is_standard_output(json_file):
        saved = f"{done.source_size / 2**20:.1f} -> {done.size / 2**20:.1f} MiB"
        output.say(f"{done.path}: {done.tensors} tensors, {saved}, read back and equal")
