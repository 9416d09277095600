"""``segship tools export-torchscript``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import OldSize, RandomWeights, either
from segship.cli.tools import graphs

__all__ = ["export_torchscript"]


def export_torchscript(
    config: graphs.Config,
    checkpoint: graphs.Checkpoint = None,
    output_file: graphs.OutputFile = Path("tmp.pt"),
    input_img: graphs.InputImage = None,
    size: graphs.Size = None,
    rescale_size: graphs.RescaleSize = None,
    show: Annotated[bool, typer.Option("--show", help="Print the traced graph.")] = False,
    verify: graphs.Verify = False,
    labels: Annotated[bool, typer.Option("--labels", help="Return labels instead of full-size logits.")] = False,
    cfg_options: graphs.CfgOptions = None,
    trust: graphs.Trust = False,
    random_weights: RandomWeights = False,
    old_size: OldSize = None,
    old_rescale_size: graphs.OldRescaleSize = None,
) -> None:
    """Write the whole inference as one TorchScript file, as pytorch2torchscript.py did.

    Input float32 (1, C, H, W), normalised; output float32 (1, K, H, W).
    """
    from segship.tools.extras import require

    require("Exporting", "export", "torch", "onnx", "onnxscript")
    from segship.tools.graphs import export_torchscript as run

    graphs.write(
        run,
        config,
        checkpoint,
        output_file,
        size=either(size, old_size, "--size", "--shape"),
        rescale_size=either(rescale_size, old_rescale_size, "--rescale-size", "--rescale-shape"),
        show=show,
        verify=verify,
        image=input_img,
        output="labels" if labels else "logits",
        cfg_options=cfg_options,
        trust=trust,
        random_weights=random_weights,
    )
