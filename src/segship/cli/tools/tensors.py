"""``segship tools tensors pack`` and ``segship tools tensors score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segship.cli.options import JsonFile, OldLayout

__all__ = ["app", "pack", "score"]

app = typer.Typer(
    name="tensors",
    help="A data set as raw tensors for engines that only another program can run, and the figures of its outputs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("pack")
def pack(
    network: Annotated[Path, typer.Argument(help="Package, or config or folder of the network.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    dataset: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="NAME ROOT", help="A data set, as for `segship evaluate`.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set. Default: val.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Folder of label maps with the images' names.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first N images.")] = None,
    reduce_zero_label: Annotated[
        bool | None,
        typer.Option("--reduce-zero-label/--keep-zero-label", help="As for `segship evaluate`."),
    ] = None,
    cfg_options: Annotated[
        list[str] | None, typer.Option(help="Of a config: override, key.sub=value; may be repeated.")
    ] = None,
    old_layout: OldLayout = None,
) -> None:
    """Write what the network would be given: float32 NCHW, one .bin for each image or window, and an index.

    index.csv says which file is of which image and label map; index.json also what `score` needs.
    """
    from segship.cli import output
    from segship.cli.options import either, find_data
    from segship.sources import Source
    from segship.tools import tensors

    read = tensors.read_network(Source(network, cfg_options=cfg_options) if cfg_options else network)
    named = either(dataset, old_layout, "--dataset", "--layout")
    data = find_data(named, split, images, labels, reduce_zero_label, limit).samples_for(read.spec)
    with output.progress_bar("packing", len(data.samples)) as progress:
        index = tensors.pack(read, data.samples, data.encoding, to, progress=progress)
    files = [tensor for item in index.items for tensor in item.inputs]
    shapes = sorted({"x".join(map(str, tensor.shape)) for tensor in files})
    more = f" and {len(shapes) - 1} other shapes" if len(shapes) > 1 else ""
    output.say(f"{to}: {len(index.items)} images, {len(files)} inputs of {shapes[0]}{more}, float32")


@app.command("score")
def score(
    folder: Annotated[Path, typer.Argument(help="What `pack` wrote, or a kit of `segship export --kit`.")],
    outputs: Annotated[
        Path, typer.Argument(help="Folder of raw outputs: NAME.bin, NAME_0.bin, NAME.npy; what a kit's run.sh filled.")
    ],
    dtype: Annotated[
        Literal["float32", "float16", "int32", "int64", "uint8"] | None,
        typer.Option(
            help="Of .bin files: scores (K, h, w), or whole numbers that are labels (h, w). Default: float32, or as "
            "the kit says."
        ),
    ] = None,
    output_size: Annotated[
        str | None, typer.Option(help="Height x width of an output. Default: follows from the size of the file.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Read raw outputs back, make masks of them at the images' own size, and print the metrics."""
    from segship.cli import output
    from segship.cli.options import read_size
    from segship.core.kits import holds_kit
    from segship.evaluation import Evaluation
    from segship.tools import tensors

    size = read_size(output_size)
    if holds_kit(folder):
        _score_kit(folder, outputs, dtype, size, json_file)
        return
    with output.progress_bar("scoring", 2) as progress:
        found = tensors.score(folder, outputs, dtype=dtype or "float32", output_size=size, progress=progress)
    evaluation = Evaluation(found.images, found.classes, found.matrix, found.scores)
    output.write_json(json_file, evaluation.as_dict())
    if not output.is_standard_output(json_file):
        output.print_evaluation(evaluation)


def _score_kit(
    folder: Path, outputs: Path, dtype: str | None, size: tuple[int, int] | None, json_file: Path | None
) -> None:
    from segship.cli import output
    from segship.core.errors import InputError
    from segship.evaluation import Evaluation
    from segship.kits import score_kit

    if size is not None:
        raise InputError("--output-size: a kit says how large its outputs are: leave it out")
    with output.progress_bar("scoring", 2) as progress:
        found = score_kit(folder, outputs, dtype=dtype, progress=progress)
    batches = {count: Evaluation(each.images, each.classes, each.matrix, each.scores) for count, each in found.items()}
    output.write_json(json_file, {"batches": {str(count): each.as_dict() for count, each in batches.items()}})
    if not output.is_standard_output(json_file):
        for count, each in batches.items():
            output.say(f"{count} at once:")
            output.print_evaluation(each)
