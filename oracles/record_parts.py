"""Record what the real MMSegmentation's parts compute with options that no config uses.

The parts and their inputs stand in ``tests/support/parts.py``. Run it where `record_reference` runs::

    python oracles/record_parts.py [--to tests/references] [--again]

Parts that have a record keep it, unless ``--again`` is given. It writes ``parts.json`` (a digest of keys and shapes;
shape and magnitude of each output) and ``parts.npz`` (a sample of each one).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from record_reference import import_mmseg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import fill
from support.parts import PARTS, PartCase, fingerprint, flat, sample


def record(part: PartCase, arrays: dict[str, Any]) -> dict[str, Any]:
    """Build one part, run its inputs, and keep a sample of every output in ``arrays``."""
    from mmseg.registry import MODELS

    network = fill.fill_network(MODELS.build({"type": part.type, **part.options}))
    network.eval()
    outputs = []
    for i, feed in enumerate(part.feeds()):
        with torch.inference_mode():
            tensors = flat(network(feed))
        for j, tensor in enumerate(tensors):
            arrays[f"{part.name}/{i}/{j}"] = sample(tensor)
        outputs.append([[list(tensor.shape), float(tensor.abs().max())] for tensor in tensors])
    return {"state": fingerprint(network), "outputs": outputs}


def kept(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The records of the parts that there still are."""
    names = {part.name for part in PARTS}
    records = json.loads((folder / "parts.json").read_text())
    with np.load(folder / "parts.npz") as arrays:
        samples = {key: arrays[key] for key in arrays.files if key.split("/")[0] in names}
    return {name: entry for name, entry in records.items() if name in names}, samples


def main() -> None:
    """Record the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "tests" / "references")
    parser.add_argument("--again", action="store_true", help="record all parts, not only new ones")
    options = parser.parse_args()
    import_mmseg()
    records, arrays = ({}, {}) if options.again else kept(options.to)
    for part in PARTS:
        if part.name not in records:
            records[part.name] = record(part, arrays)
    (options.to / "parts.json").write_text(json.dumps(records, separators=(",", ":")))
    np.savez_compressed(options.to / "parts.npz", **arrays)
    print(f"{len(records)} parts, {len(arrays)} outputs")


if __name__ == "__main__":
    main()
