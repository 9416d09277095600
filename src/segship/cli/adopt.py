"""``segship adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segship.cli.options import JsonFile, keep_apart

if TYPE_CHECKING:
    from segship.kits import Adopted

__all__ = ["adopt"]


def adopt(
    kit: Annotated[Path, typer.Argument(help="What `segship export --kit` wrote.")],
    engine: Annotated[Path, typer.Argument(help="The engine that convert.sh made: a file, or a folder of files.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the package to.")],
    outputs: Annotated[Path, typer.Option(help="The folder that run.sh filled, brought back as it is.")],
    dtype: Annotated[
        Literal["float32", "float16"] | None,
        typer.Option(help="Of raw outputs, where the tool was told another type than run.sh tells it."),
    ] = None,
    allow_inexact: Annotated[
        bool, typer.Option("--allow-inexact", help="Write the package even if a gate fails; its manifest says so.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Make a package of an engine that was built and run elsewhere, with the figures that its outputs give.

    Every output is held against the network's own; a folder that was changed, cut off, or brought in another order is
    refused.
    """
    from segship import kits
    from segship.cli import output

    keep_apart(json_file, kit / "kit.json", engine)
    with output.stages() as progress:
        found = kits.adopt(
            kit, engine, out, outputs=outputs, dtype=dtype, allow_inexact=allow_inexact, progress=progress
        )
    output.write_json(json_file, _as_dict(found))
    if not output.is_standard_output(json_file):
        _print(found)


def _as_dict(found: Adopted) -> dict[str, Any]:
    return {
        "manifest": found.package.manifest.model_dump(mode="json"),
        "images": found.images,
        "labels_equal": found.agreement,
        "network": None if found.network is None else _figures(found.network),
        "batches": {
            str(batch): (_figures(found.scores[batch]) if batch in found.scores else {})
            | {"images_per_second": found.speeds.get(batch)}
            for batch in sorted({*found.scores, *found.speeds})
        },
    }


def _figures(scores: Any) -> dict[str, float]:
    return {name: float(getattr(scores, name)) for name in ("aAcc", "mIoU", "mAcc")}


def _print(found: Adopted) -> None:
    from segship.cli import output
    from segship.report.chips import as_markdown, chip_rows

    manifest = found.package.manifest
    output.print_checks(manifest.checks)
    for failure in manifest.failures:
        output.say(f"NOT EXACT: {failure}")
    for note in manifest.notes:
        output.say(f"note: {note}")
    if tables := as_markdown(chip_rows([manifest])):
        output.say(tables)
    output.say(f"{found.package.path}: {manifest.target}, {found.agreement:.4%} of the labels are the network's")
