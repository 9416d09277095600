"""Export a small random network of every Hugging Face architecture and compare its masks with the library's own.

Needs ``pip install -e ".[huggingface]"``; takes a minute or two for each::

    python docs/tables/check_huggingface.py [NAME ...] [--write]

``--write`` puts the table into docs/tables/huggingface.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from segship import Segmentor, export
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import load
from segship.vision.decode import read_image
from support.hugging import NETWORKS, save

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).parent / "huggingface.md"
BEGIN, END = "<!-- hugging face: begin -->", "<!-- hugging face: end -->"
HEAD = (
    "| network | sizes | max Δ of the logits | mask of the network | mask of the package | margin where it differs |",
    "|---|---|---:|---:|---:|---:|",
)


def check(name: str, folder: Path) -> str:
    """Export the network ``name``; its row of the table."""
    image = read_image(ROOT / "tests" / "references" / "pipeline" / "street_300x401.png")
    model, processor = save(name, folder / "saved")
    package = export(folder / "saved", None, folder / "package")
    manifest = package.manifest
    worst = max(check.max_difference for check in manifest.checks)
    # A graph of one size sees the image at that size; so must the library, to be compared with.
    fixed = manifest.sizes.fixed
    # EoMT's processor cuts or pads images to that size by itself.
    size = {"size": {"height": fixed[0], "width": fixed[1]}} if fixed and not name.startswith("eomt") else {}
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt", **size)
    with torch.inference_mode():
        output = model(**inputs)
    expected = processor.post_process_semantic_segmentation(output, target_sizes=[image.shape[:2]])[0].numpy()
    network = Pipeline(EagerSession(load(folder / "saved").network), manifest.spec, manifest.sizes)
    ours = network.labels(image, "bgr")
    theirs = Segmentor(package.path)(image, channel_order="bgr")
    shares = [f"{(mask == expected).mean():.4%}" for mask in (ours, theirs)]
    differ = theirs != expected
    margin = f"{_margins(network, image)[differ].max():.0e}" if differ.any() else "-"
    return f"| {name} | {manifest.sizes} | {worst:.1e} | {' | '.join(shares)} | {margin} |"


def _margins(network: Pipeline, image: Any) -> Any:
    """By how much the winner leads at each pixel, as a share of the greatest score of the image."""
    scores = torch.from_numpy(network.infer(network.prepare(image, "bgr")))
    first, second = F.interpolate(scores, image.shape[:2], mode="bilinear")[0].topk(2, 0).values
    return ((first - second) / np.abs(scores.numpy()).max()).numpy()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(NETWORKS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/tables/huggingface.md")
    options = parser.parse_args()
    rows = list(HEAD)
    print(*HEAD, sep="\n")
    for name in options.names or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(check(name, Path(folder)))
            print(rows[-1], flush=True)
    if options.write:
        head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(rows) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
