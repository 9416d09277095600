"""``segship verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.options import (
    Device,
    IgnoreUnknown,
    JsonFile,
    Normalize,
    OldImage,
    either,
    find_normalize,
    keep_apart,
    split_paths,
)

if TYPE_CHECKING:
    from segship.deploy.verify import Verification

__all__ = ["verify"]

_FAILED = 1

_Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE [CHECKPOINT] PACKAGE",
        help="SOURCE and CHECKPOINT: the trained network, as for `segship export`. PACKAGE: what was made of it.",
    ),
]
_Images = Annotated[
    list[Path] | None,
    typer.Option(help="Image or folder to compare on; may be repeated. Default: the bundled scenes."),
]
_To = Annotated[
    Path | None,
    typer.Option(help="Folder for both masks of each image, NAME_network.png and NAME_package.png."),
]
_CfgOptions = Annotated[
    list[str] | None, typer.Option(help="Override of the config or the description, as for `segship export`.")
]
_Source = Annotated[str | None, typer.Option(help="As for `segship export`.")]
_Spec = Annotated[Path | None, typer.Option(help="As for `segship export`.")]
_Trust = Annotated[bool, typer.Option("--trust", help="As for `segship export`.")]


def verify(
    paths: _Paths,
    images: _Images = None,
    to: _To = None,
    device: Device = None,
    cfg_options: _CfgOptions = None,
    source: _Source = None,
    spec: _Spec = None,
    trust: _Trust = False,
    normalize: Normalize = None,
    ignore_unknown: IgnoreUnknown = False,
    json_file: JsonFile = None,
    old_image: OldImage = None,
) -> None:
    """Compare a package with the network it was made of, on the images you give or on drawn scenes.

    The network runs in its own framework: PaddleSeg's in Paddle Inference, most others in PyTorch. Status 0: the
    package passes the gate of its precision; 1: it does not; 2: the comparison cannot be made.
    """
    from segship.cli import output
    from segship.deploy.verify import verify as run
    from segship.sources import Source

    config, checkpoint, package = split_paths(paths, source)
    keep_apart(json_file, *paths, spec)
    with output.stages() as progress:
        found = run(
            Source(
                config,
                checkpoint,
                source=source,
                cfg_options=cfg_options,
                spec=spec,
                trust=trust,
                ignore_unknown=ignore_unknown,
                normalize=find_normalize(normalize),
            ),
            package,
            images=either(images, old_image, "--images", "--image") or (),
            to=to,
            device=device,
            progress=progress,
        )
    output.write_json(json_file, found.as_dict())
    if not output.is_standard_output(json_file):
        _print(found)
    if found.failures:
        raise typer.Exit(_FAILED)


def _print(found: Verification) -> None:
    from rich.table import Table

    from segship.cli import output

    table = Table(title=f"{found.target} against {found.network}")
    table.add_column("image")
    table.add_column("input")
    for name in ("max |Δ| of the logits", "greatest logit", "pixels that differ"):
        table.add_column(name, justify="right")
    for each in found.images:
        differ = f"{each.pixels_differ} of {each.pixels}"
        size = "x".join(map(str, each.input))
        difference = f"{each.max_difference * each.greatest:.1e}" if each.has_logits else "-"
        table.add_row(each.image, size, difference, f"{each.greatest:.3g}", differ)
    output.show(table)
    for failure in found.failures:
        output.say(f"FAILED: {failure}")
    output.say("the package does not pass its gate" if found.failures else "the package passes its gate")
