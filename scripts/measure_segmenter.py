"""Export a Segmenter of any size with random weights, and measure what that takes and how fast the package is.

::

    python scripts/measure_segmenter.py tiny --batch-sizes 1,4,8,16
    python scripts/measure_segmenter.py large --no-fps

The network is Seg-{T,S,B,L}-Mask/16 as it was trained on Cityscapes: windows of 768x768 every 512, 19 classes. Printed
are seconds by the clock and of the processors, and the peak resident memory of ``segship export`` in a process of its
own; then images a second of the engine alone for each batch size.
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


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--batch-sizes", default="1,4,8,16")
    parser.add_argument("--fps", action=argparse.BooleanOptionalAction, default=True)
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
    begin = time.perf_counter()
    _segship("export", folder / "trained", folder / "package")
    wall = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(file.stat().st_size for file in (folder / "package").iterdir())
    print(f"export: {wall:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors, ", end="")
    print(f"{used.ru_maxrss / 2**20:.1f} GiB at most, package of {size / 2**20:.0f} MiB")
    if not options.fps:
        return
    figures = folder / "fps.json"
    _segship(
        *("benchmark", folder / "package", "--engine-only", "--size", "768x768", "--batch-sizes", options.batch_sizes),
        *("--duration", 5, "--no-memory", "--json", figures),
    )
    for entry in json.loads(figures.read_text())["measurements"]:
        print(f"batch {entry['batch']}: {entry['images_per_second']:.2f} images/s")


def _segship(*words: object) -> None:
    done = subprocess.run([sys.executable, "-m", "segship", *map(str, words)], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
