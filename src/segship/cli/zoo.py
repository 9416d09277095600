"""``segship zoo list`` and ``segship zoo download``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.options import JsonFile
from segship.core.errors import InputError

if TYPE_CHECKING:
    from segship.tools.zoo import PublishedModel

__all__ = ["app", "download", "list_models"]

app = typer.Typer(
    name="zoo",
    help="The networks that MMSegmentation has published.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("list")
def list_models(
    pattern: Annotated[str, typer.Argument(help="Part of the name, or a pattern with * and ?.")] = "*",
    family: Annotated[str, typer.Option(help="Only of this family, as pspnet.")] = "",
    dataset: Annotated[str, typer.Option(help="Only of this data set, as cityscapes.")] = "",
    json_file: JsonFile = None,
) -> None:
    """List published networks: name, data set, reported figures."""
    from segship.cli import output
    from segship.tools.zoo import published_models

    found = published_models(pattern, family=family, dataset=dataset)
    output.write_json(json_file, [model.as_dict() for model in found])
    if not output.is_standard_output(json_file):
        _print(found)


def _print(models: tuple[PublishedModel, ...]) -> None:
    from rich.table import Table

    from segship.cli import output

    table = Table()
    table.add_column("name", overflow="fold", min_width=40)
    table.add_column("family")
    table.add_column("data set")
    table.add_column("mIoU", justify="right")
    for model in models:
        figure = model.figures.get("mIoU")
        dice = model.figures.get("mDice")
        shown = f"{figure:.2f}" if figure is not None else f"Dice {dice:.2f}"
        table.add_row(model.name, model.family, model.dataset, shown)
    output.show(table)
    output.say(f"{len(models)} networks; segship zoo download NAME --to FOLDER fetches one")


@app.command("download")
def download(
    name: Annotated[
        str, typer.Argument(help="As `segship zoo list` shows it, or hf:org/name of the Hugging Face hub.")
    ],
    to: Annotated[Path, typer.Option(help="Folder for the config and the weights.")],
    configs: Annotated[
        str | None,
        typer.Option(help="Folder or address of MMSegmentation's configs. Default: its wheel's, else its repository."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds without a byte before a transfer is broken.")] = 30,
    json_file: JsonFile = None,
) -> None:
    """Fetch a published network: config (bases merged into it) and weights, resumed and checked by their SHA-256.

    Of the hub: config, processor, tokenizer and safetensors of hf:org/name or hf:org/name@revision, never a pickle.

    Proxies are taken from the environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.
    """
    from segship.cli import output
    from segship.tools.zoo import HUB
    from segship.tools.zoo import download as run

    if name.startswith(HUB):
        if configs is not None:
            raise InputError(f"--configs is for MMSegmentation's networks; {name} has its own")
        _from_hub(name, to, timeout, json_file)
        return
    with output.resumable("the same command goes on"), output.progress_bar(f"fetching {name}", 2) as progress:
        done = run(name, to, configs=configs, timeout=timeout, progress=progress)
    paths = {"config": str(done.config), "weights": str(done.weights), "fetched": done.fetched}
    output.write_json(json_file, paths)
    if not output.is_standard_output(json_file):
        output.say(f"config   {done.config}")
        output.say(f"weights  {done.weights}{'' if done.fetched else ' (was there)'}")
        output.say(f"next: segship export {shlex.join([str(done.config), str(done.weights)])} PACKAGE")


def _from_hub(name: str, to: Path, timeout: float, json_file: JsonFile) -> None:
    from segship.cli import output
    from segship.tools.zoo import download_from_hub

    with output.resumable("the same command goes on"), output.progress_bar(f"fetching {name}", 2) as progress:
        done = download_from_hub(name, to, timeout=timeout, progress=progress)
    output.write_json(
        json_file, {"folder": str(done.folder), "commit": done.commit, "sha256": dict(sorted(done.digests.items()))}
    )
    if not output.is_standard_output(json_file):
        output.say(f"folder   {done.folder} ({len(done.digests)} files of commit {done.commit:.12})")
        output.say(f"next: segship export {shlex.quote(str(done.folder))} PACKAGE")
