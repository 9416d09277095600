"""Write src/segship/assets/zoo.json: what MMSegmentation has published, from the metafiles that its wheel carries.

::

    pip install --no-deps mmsegmentation==1.2.2
    python dev/make_zoo.py [FOLDER OF CONFIGS]

Only facts are kept: names, data sets, figures, paths, addresses. Slips of the metafiles are put right on the way:
configs of another depth than the weights, or with a doubled first letter; headings in the place of a data set; a
misspelt host.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from support.references import configs

OUT = ROOT / "src" / "segship" / "assets" / "zoo.json"
HOST = "download.openmmlab.com"
FIGURES = ("mIoU", "mIoU(ms+flip)", "mDice")


MEANT = {
    "c6b32c3b": "bisenetv1/bisenetv1_r101-d32_4xb4-160k_coco-stuff164k-512x512.py",
    "d3c8a29e": "deeplabv3plus/deeplabv3plus_r101-d8_4xb4-40k_pascal-context-480x480.py",
    "145d3ee8": "deeplabv3plus/deeplabv3plus_r101-d8_4xb4-80k_pascal-context-480x480.py",
    "9092b254": "pspnet/pspnet_r50-d32_4xb2-80k_cityscapes-512x1024.py",
    "3e2cae61": "twins/twins_svt-l_uperhead_8xb2-160k_ade20k-512x512.py",
    "b47e607d": "poolformer/fpn_poolformer_s36_8x4_512x512_40k_ade20k.py",
}
"""Config of the weights with this digest, where the metafile names one of another depth, or one that does not exist."""


def find_config(folder: Path, model: dict[str, Any]) -> str | None:
    """The path below ``folder`` of the model's config; None where there is none."""
    digest = Path(urlsplit(model["Weights"]).path).stem.rpartition("-")[2]
    path = folder / MEANT.get(digest, model["Config"].removeprefix("configs/"))
    for candidate in (path, path.with_name(path.name[1:])):
        if candidate.is_file():
            return candidate.relative_to(folder).as_posix()
    return None


def entry(folder: Path, model: dict[str, Any]) -> dict[str, Any] | None:
    """One model as it is kept; None for depth estimation and what has no config."""
    metrics = model["Results"].get("Metrics", {})
    figures = {name: metrics[name] for name in FIGURES if isinstance(metrics.get(name), (int, float))}
    config = find_config(folder, model)
    if config is None or not figures:
        print("left out:", model["Name"], model["Config"], metrics)
        return None
    dataset = model["Results"]["Dataset"]
    address = urlsplit(model["Weights"])._replace(netloc=HOST).geturl()
    return {
        "name": Path(config).stem,
        "family": model["In Collection"],
        "dataset": "Cityscapes" if dataset.startswith("#") else dataset,
        "figures": figures,
        "config": config,
        "weights": address,
    }


def main() -> None:
    """Read the metafiles, write the list."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else configs()
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*/metafile.y*ml")):
        for model in yaml.safe_load(file.read_text())["Models"]:
            kept = entry(folder, model)
            if kept and kept["name"] in found and found[kept["name"]]["weights"] != kept["weights"]:
                kept["name"] = Path(urlsplit(kept["weights"]).path).stem.rpartition("-")[0]
            if kept:
                found[kept["name"]] = kept
    lines = ",\n".join(json.dumps(found[name], ensure_ascii=False) for name in sorted(found))
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(len(found), "models")


if __name__ == "__main__":
    main()
