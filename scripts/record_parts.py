"""Record what the real MMSegmentation's parts compute with options that no config uses.

The parts and their inputs stand in ``tests/support/parts.py``. Run it where `record_reference` runs::

    python scripts/record_parts.py [--to tests/references]

It writes ``parts.json`` (a digest of keys and shapes; shape and magnitude of each output) and ``parts.npz`` (a sample
of each one).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from record_reference import _NoCompiledOps

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import fill
from support.parts import PARTS, PartCase, fingerprint, flat, sample


def record(part: PartCase, arrays: dict[str, Any]) -> dict[str, Any]:
    """Build one part, run its inputs, and keep a sample of every output in ``arrays``."""
    from mmseg.registry import MODELS  # noqa: PLC0415

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


def main() -> None:
    """Record every part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "tests" / "references")
    options = parser.parse_args()
    sys.modules["mmcv._ext"] = _NoCompiledOps("mmcv._ext")
    from mmseg.utils import register_all_modules  # noqa: PLC0415

    register_all_modules(init_default_scope=True)
    arrays: dict[str, Any] = {}
    records = {part.name: record(part, arrays) for part in PARTS}
    (options.to / "parts.json").write_text(json.dumps(records, separators=(",", ":")))
    np.savez_compressed(options.to / "parts.npz", **arrays)
    print(f"{len(records)} parts, {len(arrays)} outputs")


if __name__ == "__main__":
    main()
