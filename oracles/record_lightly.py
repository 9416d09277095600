"""Record what lightly-train computes itself with small EoMT networks, DINOv2's and DINOv3's.

Run it where it is installed (``pip install lightly-train``); nothing is fetched::

    python oracles/record_lightly.py [--to tests/references/lightly]

The weights are those of ``tests/support/fill.py`` by the library's own keys, so that none are stored. It writes
``index.json``, with the arguments of each network and name and shape of each weight, and ``labels.npz``: the labels of
its own ``predict``, and the scores of a square input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["LIGHTLY_TRAIN_EVENTS_DISABLED"] = "1"

import numpy as np
import torch
from lightly_train import __version__
from lightly_train._task_models.dinov2_eomt_semantic_segmentation.task_model import DINOv2EoMTSemanticSegmentation
from lightly_train._task_models.dinov3_eomt_semantic_segmentation.task_model import DINOv3EoMTSemanticSegmentation

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from support import lightly

IMAGE = TESTS / "references" / "pipeline" / "street_300x401.png"
KINDS: dict[str, Any] = {"dinov2": DINOv2EoMTSemanticSegmentation, "dinov3": DINOv3EoMTSemanticSegmentation}


def record(name: str, arguments: dict[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A network's own labels and scores."""
    network = KINDS[name[:6]](**arguments, load_weights=False).eval()
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    state = lightly.weights(shapes, prefix, network.state_dict())
    network.load_train_state_dict({f"model.{key}": value for key, value in state.items()})
    labels = network.predict(str(IMAGE)).numpy()
    side = min(arguments["image_size"])
    with torch.inference_mode():
        scores = network(lightly.image(side))[1]
    print(name, np.unique(labels, return_counts=True))
    entry = {
        "model_class_path": network.class_path,
        "model_init_args": network.init_args,
        "prefix": prefix,
        "shapes": shapes,
    }
    found = {f"{name}_labels": labels.astype(np.uint8), f"{name}_scores": scores[0, :, ::4, ::4].numpy()}
    return entry, found


def main() -> None:
    """Record all networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=TESTS / "references" / "lightly")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    entries, arrays = {}, {}
    for name, (arguments, prefix) in lightly.NETWORKS.items():
        entries[name], found = record(name, arguments, prefix)
        arrays |= found
    index = {"lightly_train": __version__, "torch": torch.__version__, "networks": entries}
    (folder / "index.json").write_text(json.dumps(index) + "\n", encoding="utf-8")
    np.savez_compressed(folder / "labels.npz", **arrays)


if __name__ == "__main__":
    main()
