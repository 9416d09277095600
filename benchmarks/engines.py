"""The network alone: every engine and precision against eager torch in float32.

::

    python benchmarks/engines.py CONFIG [CONFIG ...] [--size 512x1024] [--rounds 7] [--threads 2] [--json FILE]
        [--targets onnxruntime,openvino,openvino-bf16,onnxruntime-int8,openvino-int8] [--packages FOLDER]

Weights are random, from a fixed seed, calibration sees the bundled scenes, and no gate is asked: this is speed only.
*ratio* is engine / torch, of medians in one interleaved run: below 1 is faster. FOLDER keeps packages for the next run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import segship
from segship.backends import find_backend
from segship.core.manifest import read_manifest
from segship.deploy import Lowering
from timing import interleave

SCENES = Path(segship.__file__).parent / "assets" / "demo" / "images"
TARGETS = "onnxruntime,openvino,openvino-bf16,onnxruntime-int8,openvino-int8"


def weights_of(config: str, folder: Path) -> Path:
    """A checkpoint of the network as it is before training."""
    path = folder / f"{Path(config).stem}.pth"
    if not path.is_file():
        torch.manual_seed(0)
        torch.save({"state_dict": segship.load_network(config).state_dict()}, path)
    return path


def package_of(config: str, target: str, size: tuple[int, int], folder: Path) -> Path:
    """A package of ``target`` whose preprocessing makes inputs of ``size``, exact or not; made where it is missing."""
    out = folder / f"{Path(config).stem}-{size[0]}x{size[1]}-{target}"
    if not out.is_dir():
        segship.export(
            config,
            weights_of(config, folder),
            out,
            target=f"{target}_dynamic",
            lowering=Lowering(calibration=SCENES, images=16, agreement=0.0, allow_inexact=True),
            cfg_options=resize(size),
        )
    return out


def resize(size: tuple[int, int]) -> list[str]:
    """Overrides of a config that make the network's inputs of ``size`` (height, width)."""
    return [f"test_pipeline.1.scale=({size[1]},{size[0]})"]


@contextlib.contextmanager
def keeping(folder: Path | None) -> Iterator[Path]:
    """``folder``, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def measure(config: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The medians of one network."""
    height, width = map(int, options.size.split("x"))
    image = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
    network = segship.load_network(config, weights_of(config, folder))
    tensor = torch.from_numpy(image)
    candidates: dict[str, Any] = {"torch": lambda: network.logits(tensor)}
    for target in options.targets.split(","):
        package = package_of(config, target, (height, width), folder)
        manifest = read_manifest(package)
        session = find_backend(manifest.target.backend).open(manifest.engine(package), threads=options.threads)
        candidates[target] = lambda session=session: session.run({"image": image})
    with torch.inference_mode():
        times = interleave(candidates, rounds=options.rounds)
    return {"network": Path(config).stem.split("_")[0], "times": {name: vars(time) for name, time in times.items()}}


def main() -> None:
    """Measure each network and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--size", default="512x1024")
    parser.add_argument("--targets", default=TARGETS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console(stderr=True)
    with keeping(options.packages) as folder:
        results = [measure(config, options, folder) for config in track(options.configs, "networks", console=console)]
    names = options.targets.split(",")
    table = Table("network", "torch ms", *names)
    for row in results:
        base = row["times"]["torch"]
        found = (row["times"][name] for name in names)
        cells = (
            f"{time['median'] / base['median']:.2f} ({time['low'] / base['median']:.2f}-"
            f"{time['high'] / base['median']:.2f})"
            for time in found
        )
        table.add_row(row["network"], f"{base['median']:.0f} ({base['low']:.0f}-{base['high']:.0f})", *cells)
    Console(width=160).print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
