"""``segship info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.classes import with_classes
from segship.cli.options import Classes, IgnoreUnknown, JsonFile, Normalize, find_normalize, keep_apart
from segship.core.errors import InputError
from segship.core.provenance import RANDOM_WEIGHTS, hexadecimal, in_words

if TYPE_CHECKING:
    from rich.columns import Columns

    from segship.core.manifest import Manifest
    from segship.core.provenance import Provenance
    from segship.core.spec import ModelSpec, SizeRule
    from segship.sources import Source

__all__ = ["info"]

_UNSEALED = (
    "The package was written by version 0.1, whose manifests hold no digest of themselves: a change of it is not "
    "noticed. Export it again"
)
_WIDTH = 15  # of names, in characters


def info(
    source: Annotated[
        str,
        typer.Argument(help="Package, folder of MMDeploy's or lone engine file; or what a package would be made of."),
    ],
    checkpoint: Annotated[Path | None, typer.Argument(help="Weights of a source that does not bring them.")] = None,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Override of the config or the description, as for `segship export`.")
    ] = None,
    framework: Annotated[str | None, typer.Option("--source", help="As for `segship export`.")] = None,
    spec: Annotated[Path | None, typer.Option(help="As for `segship export`.")] = None,
    classes: Classes = None,
    trust: Annotated[bool, typer.Option("--trust", help="As for `segship export`.")] = False,
    normalize: Normalize = None,
    ignore_unknown: IgnoreUnknown = False,
    json_file: JsonFile = None,
) -> None:
    """Tell what a package or a source is: network, input, classes; of a package also engine and verification."""
    from segship.cli import output
    from segship.runtime.package import find_package
    from segship.runtime.tuned import tuned_elsewhere
    from segship.sources import Source

    keep_apart(json_file, source, checkpoint, spec)
    if framework is None and _is_package(Path(source)):
        given = {"CHECKPOINT": checkpoint, "--cfg-options": cfg_options, "--spec": spec, "--classes": classes}
        if unused := [name for name, value in given.items() if value]:
            raise InputError(f"{source} is a package, which says it all: leave {', '.join(unused)} out")
        manifest = find_package(Path(source)).manifest
        output.write_json(json_file, manifest.model_dump(mode="json"))
        if not output.is_standard_output(json_file):
            unsealed = [_UNSEALED] if manifest.schema_version == 1 else []
            notes = (*manifest.notes, *unsealed, *filter(None, [tuned_elsewhere(manifest.tuned)]))
            _print(_of_package(manifest), manifest.spec, notes, manifest.provenance)
            output.print_checks(manifest.checks)
            output.print_calibration(manifest.calibration, diagram=True)
        return
    description = with_classes(spec, classes)
    network = Source(
        source,
        checkpoint,
        source=framework,
        cfg_options=cfg_options,
        spec=description,
        trust=trust,
        ignore_unknown=ignore_unknown,
        normalize=find_normalize(normalize),
    )
    _tell_source(network, json_file)


def _is_package(path: Path) -> bool:
    """Whether a package lies at ``path``; a folder without anything else to recognise counts, for its error tells."""
    from segship.runtime.package import can_open

    return can_open(path) or (path.is_dir() and not any(path.iterdir()))


def _tell_source(source: Source, json_file: Path | None) -> None:
    from segship import deploy
    from segship.cli import output

    told = deploy.describe(source)
    values = {name: value.model_dump(mode="json") for name, value in told._asdict().items() if name != "notes"}
    output.write_json(json_file, values | {"notes": list(told.notes)})
    if not output.is_standard_output(json_file):
        _print(_of_source(told.spec, told.sizes), told.spec, told.notes, told.provenance)


def _print(rows: list[tuple[str, str]], spec: ModelSpec, notes: tuple[str, ...], provenance: Provenance | None) -> None:
    from segship.cli import output

    for name, value in rows:
        output.say(f"{name:{_WIDTH}}{value}")
    if provenance is not None and provenance.random_weights:
        output.say(f"{'weights':{_WIDTH}}{RANDOM_WEIGHTS}: no checkpoint is named")
    places = provenance.readings() if provenance is not None else {}
    for name, value in in_words(spec).items():
        place = f"  [{places[name]}]" if name in places else ""
        output.say(f"{name.replace('_', ' '):{_WIDTH}}{value}{place}")
    output.show(_classes(spec))
    for note in notes:
        output.say(f"note: {note}")
    for assumption in provenance.assumptions(spec) if provenance is not None else ():
        output.say(f"assumed: {assumption}")


def _classes(spec: ModelSpec) -> Columns:
    """Number, name and colour of each class; a class is never parted at the end of a line."""
    from rich.columns import Columns
    from rich.text import Text

    return Columns(
        [
            Text.assemble(("■", hexadecimal(colour)), f" {number} {name} {hexadecimal(colour)}")
            for number, (name, colour) in enumerate(zip(spec.classes, spec.palette, strict=True))
        ],
        padding=(0, 2),
    )


def _of_package(manifest: Manifest) -> list[tuple[str, str]]:
    size = sum(file.size for file in manifest.files.values()) / 2**20
    network, *others = _of_source(manifest.spec, manifest.sizes)
    target = ("target", f"{manifest.target}, {size:.1f} MiB")
    takes, returns = (
        ("images" if "pre" in manifest.embed else "tensors"),
        ("masks" if "post" in manifest.embed else "logits"),
    )
    views = () if manifest.tta is None else manifest.tta.views
    ways = [("tta", f"{len(views)} views of the config's own, with --tta")] if views else []
    if manifest.tta is not None and manifest.tta.mirror:
        ways = [("tta", f"flipped {' and '.join(manifest.tta.mirror)}, in all combinations, with --tta")]
    alone = [("alone", f"the engine's file takes {takes} and returns {returns}")] if manifest.embed else []
    return [network, target, ("state", manifest.standing), *_tuned(manifest), *alone, *others, *ways]


def _tuned(manifest: Manifest) -> list[tuple[str, str]]:
    tuned = manifest.tuned
    if tuned is None:
        return []
    threads = "the engine's own choice of threads" if tuned.threads is None else f"{tuned.threads} threads"
    engine = ", ".join(f"{name} {version}" for name, version in tuned.versions.items())
    return [("tuned for", f"{tuned.processors} x {tuned.processor}: {threads}, {tuned.milliseconds:.1f} ms, {engine}")]


def _of_source(spec: ModelSpec, sizes: SizeRule) -> list[tuple[str, str]]:
    return [("network", f"{spec.architecture} ({spec.source})"), ("sizes", str(sizes))]
