"""``segship tools export-torchscript``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export_torchscript"]


def export_torchscript(
    config: Annotated[Path, typer.Argument(help="Config of the network.")],
    checkpoint: Annotated[Path | None, typer.Option(help="The trained weights. Default: random ones.")] = None,
    output_file: Annotated[Path, typer.Option(help="File to write.")] = Path("tmp.pt"),
    input_img: Annotated[Path | None, typer.Option(help="Image to verify with. Default: noise.")] = None,
    shape: Annotated[str | None, typer.Option(help="Height x width of the input. Default: 512x512.")] = None,
    rescale_shape: Annotated[
        str | None, typer.Option(help="Height x width of the output. Default: the input's.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the traced graph.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the file with the network.")] = False,
    labels: Annotated[bool, typer.Option("--labels", help="Return labels instead of full-size logits.")] = False,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
    ] = False,
) -> None:
    """Write the whole inference as one TorchScript file, as pytorch2torchscript.py did.

    Input float32 (1, C, H, W), normalised; output float32 (1, K, H, W).
    """
    from segship.tools.extras import require  # noqa: PLC0415

    require("Exporting", "export", "torch", "onnx", "onnxscript")
    from segship.cli import output  # noqa: PLC0415
    from segship.cli.tools.export_onnx import tell  # noqa: PLC0415
    from segship.tools.graphs import export_torchscript as run  # noqa: PLC0415
    from segship.tools.sizes import parse_size  # noqa: PLC0415

    with output.stages() as stage:
        stage("exporting")
        done = run(
            config,
            checkpoint,
            output_file,
            shape=parse_size(shape) if shape else None,
            rescale_shape=parse_size(rescale_shape) if rescale_shape else None,
            verify=verify,
            image=input_img,
            output="labels" if labels else "logits",
            cfg_options=cfg_options,
            trust=trust,
        )
    tell(done, show=show)
