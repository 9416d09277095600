"""Export a small random network of every Hugging Face architecture and compare its masks with the library's own.

Needs ``pip install -e ".[huggingface]"``; takes a minute or two for each::

    python scripts/check_huggingface.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from segship import Segmentor, export
from segship.vision.decode import read_image
from support.hugging import NETWORKS, save

ROOT = Path(__file__).parents[1]


def check(name: str, folder: Path) -> str:
    """Export the network ``name``; its row of the table."""
    image = read_image(ROOT / "tests" / "references" / "pipeline" / "street_300x401.png")
    model, processor = save(name, folder / "saved")
    begin = time.perf_counter()
    package = export(folder / "saved", None, folder / "package")
    seconds = time.perf_counter() - begin
    worst = max(check.max_difference for check in package.manifest.checks)
    found = Segmentor(package.path)(image, channel_order="bgr")
    # A graph of one size sees the image at that size; so must the library, to be compared with.
    fixed = package.manifest.sizes.fixed
    size = {"size": {"height": fixed[0], "width": fixed[1]}} if fixed else {}
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt", **size)
    with torch.inference_mode():
        output = model(**inputs)
    expected = processor.post_process_semantic_segmentation(output, target_sizes=[image.shape[:2]])[0].numpy()
    return f"| {name} | {package.manifest.sizes} | {worst:.1e} | {(found == expected).mean():.4%} | {seconds:.0f} s |"


def main() -> None:
    """Print the table."""
    print("| network | sizes | max Δ | labels equal | time |\n|---|---|---:|---:|---:|")
    for name in sys.argv[1:] or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            print(check(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
