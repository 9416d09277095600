"""``segship export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    config: Annotated[Path, typer.Argument(help="Config of the trained network (MMSegmentation 0.x or 1.x).")],
    checkpoint: Annotated[Path, typer.Argument(help="Its weights: .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the package to.")],
    backend: Annotated[str, typer.Option(help="Inference engine; `segship doctor` lists them.")] = "onnxruntime",
    shape: Annotated[str, typer.Option(help="Input sizes: dynamic, or static-HxW as in static-512x1024.")] = "dynamic",
    image: Annotated[
        list[Path] | None,
        typer.Option(help="Image or folder to verify with, besides the bundled scenes; may be repeated."),
    ] = None,
    cfg_options: Annotated[
        list[str] | None,
        typer.Option(help="Override of the config, key.sub=value; may be repeated."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Framework of the files; recognised by default.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the checkpoint carries. Only for files of your own.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the manifest to this file; - for standard output."),
    ] = None,
) -> None:
    """Turn config and checkpoint into a verified package.

    The engine is compared with the original network on real images, at sizes and a batch it was not traced at;
    a package that does not agree is not written.
    """
    from segship import deploy  # noqa: PLC0415
    from segship.cli import output  # noqa: PLC0415

    with output.stages() as tell:
        package = deploy.export(
            config,
            checkpoint,
            out,
            backend,
            shape,
            images=image or (),
            cfg_options=cfg_options or (),
            source=source,
            trust=trust,
            on_stage=tell,
        )
    output.write_json(json_file, package.manifest.model_dump(mode="json"))
    if not output.is_standard_output(json_file):
        output.print_checks(package.manifest.checks)
        for note in package.manifest.notes:
            output.say(f"note: {note}")
        output.say(f"{package.path}: {package.manifest.target}, verified")
