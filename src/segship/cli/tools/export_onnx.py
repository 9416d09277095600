"""``segship tools export-onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segship.tools.graphs import ExportedGraph

__all__ = ["export_onnx", "tell"]


def export_onnx(
    config: Annotated[Path, typer.Argument(help="Config of the network.")],
    checkpoint: Annotated[Path | None, typer.Option(help="The trained weights. Default: random ones.")] = None,
    output_file: Annotated[Path, typer.Option(help="File to write.")] = Path("tmp.onnx"),
    input_img: Annotated[Path | None, typer.Option(help="Image to verify with. Default: noise.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Height x width of the input, as 512x1024. Default: the test pipeline's.")
    ] = None,
    rescale_shape: Annotated[
        str | None, typer.Option(help="Height x width of the output. Default: the input's.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the graph.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the file with the network.")] = False,
    dynamic_export: Annotated[
        bool, typer.Option("--dynamic-export", help="Leave batch, height and width free; not with windows.")
    ] = False,
    logits: Annotated[bool, typer.Option("--logits", help="Return full-size logits instead of labels.")] = False,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Override of the config, key.sub=value; may be repeated.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
    ] = False,
) -> None:
    """Write the whole inference - windows, resize, argmax - as one ONNX file, as pytorch2onnx.py did.

    Input `input` float32 (N, C, H, W), normalised; output `output` int64 (N, 1, H, W). For deployment take
    `segship export`: its packages are faster and carry what surrounds the network.
    """
    from segship.tools.extras import require  # noqa: PLC0415

    require("Exporting", "export", "torch", "onnx", "onnxscript")
    from segship.cli import output  # noqa: PLC0415
    from segship.tools.graphs import export_onnx as run  # noqa: PLC0415
    from segship.tools.sizes import parse_size  # noqa: PLC0415

    with output.stages() as stage:
        stage("exporting")
        done = run(
            config,
            checkpoint,
            output_file,
            shape=parse_size(shape) if shape else None,
            rescale_shape=parse_size(rescale_shape) if rescale_shape else None,
            dynamic=dynamic_export,
            verify=verify,
            image=input_img,
            output="logits" if logits else "labels",
            cfg_options=cfg_options,
            trust=trust,
        )
    tell(done, show=show)


def tell(done: ExportedGraph, *, show: bool) -> None:
    """Print what was written and how it compares."""
    from segship.cli import output  # noqa: PLC0415

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
