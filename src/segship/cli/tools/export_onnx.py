"""``segship tools export-onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import OldSize, RandomWeights, either
from segship.cli.tools import graphs

__all__ = ["export_onnx"]


def export_onnx(
    config: graphs.Config,
    checkpoint: graphs.Checkpoint = None,
    output_file: graphs.OutputFile = Path("tmp.onnx"),
    input_img: graphs.InputImage = None,
    size: graphs.Size = None,
    rescale_size: graphs.RescaleSize = None,
    show: Annotated[bool, typer.Option("--show", help="Print the graph.")] = False,
    verify: graphs.Verify = False,
    dynamic_export: Annotated[
        bool, typer.Option("--dynamic-export", help="Leave batch, height and width free; not with windows.")
    ] = False,
    logits: Annotated[bool, typer.Option("--logits", help="Return full-size logits instead of labels.")] = False,
    cfg_options: graphs.CfgOptions = None,
    trust: graphs.Trust = False,
    random_weights: RandomWeights = False,
    old_size: OldSize = None,
    old_rescale_size: graphs.OldRescaleSize = None,
) -> None:
    """Write the whole inference - windows, resize, argmax - as one ONNX file, as pytorch2onnx.py did.

    Input `input` float32 (N, C, H, W), normalised; output `output` int64 (N, 1, H, W). For deployment take
    `segship export`: its packages are faster and carry what surrounds the network.
    """
    from segship.tools.extras import require

    require("Exporting", "export", "torch", "onnx", "onnxscript")
    from segship.tools.graphs import export_onnx as run

    graphs.write(
        run,
        config,
        checkpoint,
        output_file,
        size=either(size, old_size, "--size", "--shape"),
        rescale_size=either(rescale_size, old_rescale_size, "--rescale-size", "--rescale-shape"),
        show=show,
        dynamic=dynamic_export,
        verify=verify,
        image=input_img,
        output="logits" if logits else "labels",
        cfg_options=cfg_options,
        trust=trust,
        random_weights=random_weights,
    )
