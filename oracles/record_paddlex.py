"""Record what PaddleX's own predictor makes of images, with small networks of semantic segmentation.

Run it where it is installed; nothing is fetched::

    pip install paddlex paddlepaddle opencv-contrib-python pypdfium2
    python oracles/record_paddlex.py [--to tests/references/paddlex]

Images, transforms and networks are those of ``paddlex_cases.py`` and ``paddlex_networks.py`` in ``tests/support``. It
writes ``predicted.npz``: ``input/RULE/IMAGE``, every sixteenth row and column of what the network is given, with
``size/RULE/IMAGE``, and ``labels/NETWORK/RULE/IMAGE``; and ``index.json``: versions, and what the predictor raises for
folders that it does not run.

PaddleX runs Paddle with oneDNN where nothing is said, which fails in Paddle 3.3.1 with every network here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"

import numpy as np
from paddlex import create_model

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from support import paddlex_cases, paddlex_networks

REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "softmax": (paddlex_cases.RULES["plain"], "softmax"),
    "none": (paddlex_cases.RULES["plain"], "none"),
    "minus one twice": ([{"type": "Normalize"}, {"type": "Resize", "target_size": [-1, -1]}], "argmax"),
    "no Normalize": ([{"type": "Resize", "target_size": 160}], "argmax"),
    "another transform": ([{"type": "Normalize"}, {"type": "ResizeByShort", "short_size": 96}], "argmax"),
}
"""Folders that the predictor may not run: their transforms, and the last operator of the program."""


def open_folder(folder: Path, name: str) -> Any:
    """PaddleX's model of a folder, without oneDNN."""
    return create_model(model_name=name, model_dir=str(folder), engine_config={"run_mode": "paddle"})


def inputs(folder: Path, rule: str) -> dict[str, np.ndarray]:
    """What the network is given for each image: its size and some of its numbers."""
    predictor = open_folder(folder, "PP-LiteSeg-T")._predictor  # noqa: SLF001  (only this one has the runner)
    given, run, found = [], predictor.runner, {}
    predictor.runner = lambda x: given.append(x[0]) or run(x=x)
    for name, image in paddlex_cases.images().items():
        list(predictor(image))
        found[f"size/{rule}/{name}"] = np.array(given[-1].shape[2:])
        found[f"input/{rule}/{name}"] = given[-1][0, :, :: paddlex_cases.STRIDE, :: paddlex_cases.STRIDE]
    return found


def labels(folder: Path, network: str, rule: str) -> dict[str, np.ndarray]:
    """The predictor's label maps."""
    model, found = open_folder(folder, network), {}
    for name, image in paddlex_cases.images().items():
        (result,) = model.predict(image)
        found[f"labels/{network}/{rule}/{name}"] = result["pred"][0].astype(np.uint8)
        print(network, rule, name, np.unique(result["pred"], return_counts=True))
    return found


def refusal(folder: Path, transforms: list[dict[str, Any]], output_op: str) -> str:
    """What the predictor raises; empty: nothing."""
    paddlex_networks.write("PP-LiteSeg-T", folder, transforms, output_op=output_op)
    try:
        list(open_folder(folder, "PP-LiteSeg-T").predict(paddlex_cases.images()["small"]))
    except Exception as error:  # noqa: BLE001  (what it raises is what is recorded)
        return type(error).__name__
    return ""


def main() -> None:
    """Record all networks and rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=TESTS / "references" / "paddlex")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for network, rules in paddlex_cases.NETWORKS.items():
            folder = Path(scratch, network)
            paddlex_networks.write(network, folder, paddlex_cases.RULES["plain"])
            for rule in rules:
                paddlex_networks.describe(network, folder, paddlex_cases.RULES[rule])
                arrays |= labels(folder, network, rule)
        for rule, transforms in paddlex_cases.RULES.items():
            paddlex_networks.describe("PP-LiteSeg-T", Path(scratch, "PP-LiteSeg-T"), transforms)
            arrays |= inputs(Path(scratch, "PP-LiteSeg-T"), rule)
        refused = {name: refusal(Path(scratch, name), *how) for name, how in REFUSED.items()}
    print(refused)
    versions = {name: importlib.metadata.version(name) for name in ("paddlex", "paddlepaddle", "opencv-contrib-python")}
    (to / "index.json").write_text(json.dumps({"versions": versions, "refused": refused}, indent=1) + "\n", "utf-8")
    np.savez_compressed(to / "predicted.npz", **arrays)


if __name__ == "__main__":
    main()
