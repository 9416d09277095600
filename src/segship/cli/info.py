"""``segship info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segship.core.manifest import Manifest

__all__ = ["info"]


def info(
    package: Annotated[Path, typer.Argument(help="Folder written by `segship export`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Tell what a package is: network, input, classes, engine, and the figures of its verification."""
    from segship.cli import output  # noqa: PLC0415
    from segship.core.manifest import read_manifest  # noqa: PLC0415

    manifest = read_manifest(package)
    if as_json:
        output.write_json(Path("-"), manifest.model_dump(mode="json"))
        return
    _print(manifest)
    output.print_checks(manifest.checks)


def _print(manifest: Manifest) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from segship.cli import output  # noqa: PLC0415

    table = Table(show_header=False, box=None)
    for name, value in _rows(manifest):
        table.add_row(name, value)
    classes = Text()
    for name, colour in zip(manifest.spec.classes, manifest.spec.palette, strict=True):
        classes.append("■ ", style=f"rgb({colour[0]},{colour[1]},{colour[2]})")
        classes.append(f"{name}  ")
    table.add_row("classes", classes)
    for note in manifest.notes:
        table.add_row("note", note)
    output.show(table)


def _rows(manifest: Manifest) -> list[tuple[str, str]]:
    spec, normal = manifest.spec, manifest.spec.normalization
    slide = spec.slide
    mode = "whole image" if slide is None else f"windows of {_pixels(slide.crop)}, every {_pixels(slide.stride)}"
    size = sum(file.size for file in manifest.files.values()) / 2**20
    return [
        ("network", f"{spec.architecture} ({spec.source})"),
        ("target", f"{manifest.target}, {size:.1f} MiB"),
        ("input", f"{normal.channel_order.upper()}, mean {normal.mean}, std {normal.std}"),
        ("geometry", "; ".join(map(str, spec.geometry)) or "the image's own size"),
        ("sizes", str(manifest.sizes)),
        ("mode", mode),
        ("output", spec.output + (f" > {spec.threshold}" if spec.output == "sigmoid" else "")),
    ]


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
