"""The network alone: every engine and precision against eager torch in float32.

::

    python benchmarks/engines.py [NETWORK ...] [--size 512x1024 1024x2048] [--rounds 7] [--threads 2]
        [--targets onnxruntime,openvino,openvino-int8] [--packages FOLDER] [--configs FOLDER] [--build] [--write]

NETWORK: a name of `packages.NETWORKS` (all of them by default), or NAME=CONFIG,CHECKPOINT. Without a checkpoint,
weights are random from a fixed seed, with a last layer fitted to the bundled scenes; calibration sees a few scenes, and
no gate is asked: this is speed only. *ratio* is engine / torch, of medians in one interleaved run: below 1 is faster.
FOLDER keeps packages for the next run; --build only makes them. --write merges the result into
docs/tables/speed.json and docs/tables/speed.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import segship
import speed_page
from packages import NETWORKS, Network, find_network, keeping, package_of, weights_of
from segship.backends import find_backend
from segship.core.manifest import read_manifest
from timing import interleave

TARGETS = "onnxruntime,openvino,openvino-int8"


def measure(network: Network, size: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The medians of one network."""
    height, width = map(int, size.split("x"))
    image = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
    module = segship.load_network(network.config, weights_of(network, folder))
    tensor = torch.from_numpy(image)
    candidates: dict[str, Any] = {"torch": lambda: module.logits(tensor)}
    for target in options.targets.split(","):
        package = package_of(network, target, (height, width), folder)
        manifest = read_manifest(package)
        session = find_backend(manifest.target.backend).open(manifest.engine(package), threads=options.threads)
        candidates[target] = lambda session=session: session.run({"image": image})
    with torch.inference_mode():
        times = interleave(candidates, rounds=options.rounds)
    return row_of(network, size, options, times)


def row_of(network: Network, size: str, options: argparse.Namespace, times: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a measurement; where packages of one size took part, in a row of its own."""
    found = {name: {key: round(value, 2) for key, value in vars(time).items()} for name, time in times.items()}
    size += ", of one size too" if "_static" in options.targets else ""
    return {"network": network.name, "size": size, "threads": options.threads, "times": found}


def parser_of(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that both benchmarks of packages take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--size", nargs="+", default=["512x1024"])
    parser.add_argument("--targets", default=TARGETS)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--configs", type=Path)
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser


def show(kind: str, row: dict[str, Any], *, write: bool) -> None:
    """Print a row as soon as it is known, and keep it if that is wished."""
    base, *names = row["times"]
    table = Table("network", f"{base} ms", *names)
    cells = []
    for name in row["times"]:
        time, first = row["times"][name], row["times"][base]
        ratio = time["median"] / first["median"] if kind == "engines" else first["median"] / time["median"]
        prefix = "" if name == base else f"{ratio:.2f}: "
        cells.append(f"{prefix}{time['median']:.0f} ({time['low']:.0f}-{time['high']:.0f})")
    table.add_row(f"{row['network']} {row['size']}", *cells)
    Console(width=160).print(table)
    if write:
        speed_page.record(kind, [row])


def main() -> None:
    """Measure each network and print the table."""
    options = parser_of(__doc__, 7).parse_args()
    torch.set_num_threads(options.threads)
    networks = [find_network(text, options.configs) for text in options.networks]
    with keeping(options.packages) as folder:
        for network in networks:
            if options.build:
                for target in options.targets.split(","):
                    print(package_of(network, target, (512, 1024), folder))
                continue
            for size in options.size:
                show("engines", measure(network, size, options, folder), write=options.write)


if __name__ == "__main__":
    main()
