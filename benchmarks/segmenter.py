"""Export a Segmenter of any size with random weights, and measure what that takes and how fast the package is.

::

    python benchmarks/segmenter.py tiny --write
    python benchmarks/segmenter.py large --no-fps
    python benchmarks/segmenter.py large --kit

The network is Seg-{T,S,B,L}-Mask/16 as it was trained on Cityscapes: windows of 768x768 every 512, 19 classes. Printed
are seconds by the clock and of the processors, and the peak resident memory of ``segship export`` in a process of its
own; then what each batch size takes, as ``segship benchmark`` times the engine alone. Each takes turns with a single
image, so that their ratio means something on a machine that does other work, too. ``--write`` puts the table into
docs/tables/segmenter.md. ``--kit`` measures an Ascend kit of batches 1 to 64 in place of all that.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segship.bench.run import machine
from segship.runtime.package import find_package

PAGE = Path(__file__).parents[1] / "docs" / "tables" / "segmenter.md"
BEGIN, END = "<!-- batch sizes: begin -->", "<!-- batch sizes: end -->"
SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 16, 24)}
VARIANT = """
net_kwargs:
  image_size: [768, 768]
  patch_size: 16
  d_model: {width}
  n_heads: {heads}
  n_layers: {layers}
  n_cls: 19
  backbone: vit_{name}_patch16_384
  normalization: vit
  decoder: {{name: mask_transformer, n_layers: 2}}
dataset_kwargs: {{dataset: cityscapes, normalization: vit}}
inference_kwargs: {{window_size: 768, window_stride: 512}}
"""
KIT = (
    *("--target", "ascend-fp16_static-768x768", "--option", "soc=Ascend310P3"),
    *("--option", "batch=1,4,8,16,32,64"),
)


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--batch-sizes", default="1,4,8,16")
    parser.add_argument("--fps", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--duration", type=float, default=0.0, help="Seconds for each batch size, beyond the fewest runs."
    )
    parser.add_argument("--write", action="store_true", help="Write the table to docs/tables/segmenter.md.")
    parser.add_argument("--kit", action="store_true", help="Make an Ascend kit instead of a package.")
    parser.add_argument("--to", type=Path, help="Keep network and package in this folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.to or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        _measure(options, folder)


def _measure(options: argparse.Namespace, folder: Path) -> None:
    width, heads, layers = SIZES[options.size]
    (folder / "trained").mkdir(exist_ok=True)
    text = VARIANT.format(name=options.size, width=width, heads=heads, layers=layers)
    (folder / "trained" / "variant.yml").write_text(text)
    begin, made = time.perf_counter(), folder / ("kit" if options.kit else "package")
    _segship("export", folder / "trained", "--random-weights", *(("--kit", made, *KIT) if options.kit else (made,)))
    wall = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
    print(f"export: {wall:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors, ", end="")
    print(f"{used.ru_maxrss / 2**20:.1f} GiB at most, {made.name} of {size / 2**20:.0f} MiB")
    if options.kit or not options.fps:
        return
    rows = []
    for batch in options.batch_sizes.split(","):
        rows.append(_row(folder / "package", int(batch), options.duration))
        print(rows[-1], flush=True)
    if options.write:
        _write(f"Seg-{options.size[0].upper()}-Mask/16", rows)


def _row(package: Path, batch: int, duration: float) -> str:
    """One row of the table: a run of ``batch`` images beside a run of one."""
    figures = package.parent / "fps.json"
    sizes = "1" if batch == 1 else f"1,{batch}"
    _segship(
        *("benchmark", package, "--engine-only", "--size", "768x768", "--batch-sizes", sizes),
        *("--duration", duration, "--no-memory", "--json", figures),
    )
    one, *_, many = (found := json.loads(figures.read_text())["measurements"])[:1] + found[-1:]
    times = [entry["latency"]["p50"] / 1000 for entry in (one, many)]
    ratio = times[1] / batch / times[0]
    clock = f"{times[1]:.2f} | {batch / times[1]:.2f} | {ratio:.2f} | {many['latency']['runs']}"
    return f"| {batch} | {clock} | {_processor_seconds(package, batch):.2f} |"


def _processor_seconds(package: Path, batch: int) -> float:
    """What an image costs one thread, whatever else the machine does; the better of two runs."""
    session = find_package(package).session(threads=1)
    images = {"image": np.random.default_rng(0).normal(size=(batch, 3, 768, 768)).astype(np.float32)}
    spent = []
    for _ in range(2):
        begin = time.process_time()
        session.run(images)
        spent.append((time.process_time() - begin) / batch)
    return min(spent)


def _write(network: str, rows: list[str]) -> None:
    """Put the table between its marks."""
    place = machine()
    lines = [
        f"{network}, windows of 768x768, the engine alone, on {place['processors']} x {place['processor']}, busy with",
        "other work. Each batch size took turns with a single image. The last column: seconds of one thread for an",
        "image, which other work changes little: a batch saves no work, it only wins more of a busy machine.",
        "",
        "| images in a run | seconds for a run | images/s | time for an image, against one alone | runs | one thread |",
        "|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _segship(*words: object) -> None:
    done = subprocess.run([sys.executable, "-m", "segship", *map(str, words)], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
