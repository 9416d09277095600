"""``segship benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.options import Device, JsonFile, keep_apart, read_numbers, read_size

if TYPE_CHECKING:
    from segship.bench import Benchmark, Measurement

__all__ = ["benchmark"]


def benchmark(
    packages: Annotated[list[Path], typer.Argument(help="Packages, or lone engine files; they take turns.")],
    batch_sizes: Annotated[str, typer.Option(metavar="N,N,…", help="Images in one run.")] = "1",
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Of the images; with --engine-only, of the network's input."),
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Images or folders. Default: scenes that come with Segship.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each engine.")] = None,
    device: Device = None,
    duration: Annotated[float, typer.Option(min=0, help="Seconds for each package and batch size.")] = 5.0,
    engine_only: Annotated[
        bool, typer.Option("--engine-only", help="The network alone, as vendors' tools time it.")
    ] = False,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Also measure the peak memory.")] = True,
    trust: Annotated[bool, typer.Option("--trust", help="Open engines that carry code, which then runs.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Time packages from the image file to the mask: latency, throughput, memory, and each stage's share.

    Packages and batch sizes take turns, so that they can be compared on a machine that does other work, too.
    """
    from segship import bench
    from segship.cli import output

    keep_apart(json_file, *packages)
    sizes, chosen = read_numbers(batch_sizes), read_size(size)
    with output.progress_bar("measuring", 100) as move:
        found = bench.benchmark(
            packages,
            batch_sizes=sizes,
            size=chosen,
            images=images or [],
            device=device,
            threads=threads,
            duration=duration,
            engine_only=engine_only,
            memory=memory,
            trust=trust,
            progress=None if move is None else lambda share: move(int(100 * share), 100),
        )
    output.write_json(json_file, found.as_dict())
    for refusal in found.refusals:
        output.warn(f"{refusal.package} with batch {refusal.batch} left out: {refusal.reason}")
    if not output.is_standard_output(json_file):
        _print(found)


def _print(found: Benchmark) -> None:
    from segship.cli import output

    what = "the engine alone" if found.kind == "engine" else "from the image file to the mask"
    place = found.machine
    load = "" if place["load"] is None else f", load {place['load']:.1f} when it began"
    packages = list(dict.fromkeys((entry.package, entry.target) for entry in found.measurements))
    for number, (package, target) in enumerate(packages, start=1):
        output.say(f"{number}: {package} ({target})")
    number_of = {package: str(number) for number, (package, _) in enumerate(packages, start=1)}
    rows = [(number_of[entry.package], str(entry.batch), entry) for entry in found.measurements]
    _table(
        f"ms for a batch, {what}",
        ("input", "p50", "p90", "p99", "runs", "images/s", "MiB"),
        [(number, batch, *_row(entry)) for number, batch, entry in rows],
    )
    if found.kind == "end_to_end":
        stages = tuple(found.measurements[0].stages)
        cells = [(number, batch, *(f"{entry.stages[name]:.1f}" for name in stages)) for number, batch, entry in rows]
        _table("of these, in each stage (median)", stages, cells)
    output.say(f"{place['processors']} x {place['processor']}{load}")


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table

    from segship.cli import output

    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for name in ("", "batch", *columns):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    output.show(table)


def _row(entry: Measurement) -> tuple[str, ...]:
    latency = entry.latency
    size = "x".join(map(str, entry.input))
    times = (f"{value:.1f}" for value in (latency.p50, latency.p90, latency.p99))
    memory = "" if entry.memory is None else f"{entry.memory:.0f}"
    return (size, *times, str(latency.runs), f"{entry.images_per_second:.1f}", memory)
