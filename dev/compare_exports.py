"""Two checkouts against each other: whether the engines that they export are the same bytes, else what differs.

::

    git worktree add ../old OLD_COMMIT
    python dev/compare_exports.py ../old . CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] [--target onnxruntime_dynamic]
    python dev/compare_exports.py ../old . --recorded cgnet segformer unet   # recorded networks, by part of their name

Each export is a process of its own. Of ONNX that differs, it is told how many operators of each kind there are more or
less, how much the weights differ, and how far apart the results are on one image of 256 x 256. The status is the number
of networks whose files differ.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parents[1] / "tests"
EXPORT = "import sys, segship; segship.export(*sys.argv[1:4], target=sys.argv[4])"
PARTS: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "metadata": lambda model: {entry.key: entry.value for entry in model.metadata_props},
    "producer": lambda model: (model.producer_name, model.producer_version, model.doc_string),
    "versions": lambda model: (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]),
    "names of operators": lambda model: [node.name for node in model.graph.node],
    "names of values": lambda model: [list(node.output) for node in model.graph.node],
    "inputs and outputs": lambda model: [str(value) for value in (*model.graph.input, *model.graph.output)],
    "known shapes": lambda model: [str(value) for value in model.graph.value_info],
    "order of weights": lambda model: [tensor.name for tensor in model.graph.initializer],
}
PLAIN = {"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}


def recorded(names: list[str], folder: Path) -> list[tuple[Path, Path]]:
    """Config and weights of recorded networks, with the numbers that the references were computed with."""
    sys.path.insert(0, str(TESTS))
    from support.fill import fill
    from support.references import configs, model_references

    found = []
    for name in names:
        reference = next(one for one in model_references() if name in one.name)
        state = {
            key: torch.from_numpy(fill(key, tuple(shape))) if dtype.startswith("float") else torch.zeros(shape)
            for key, (dtype, shape) in reference.record()["state"].items()
        }
        weights = folder / f"{reference.name}.pth"
        torch.save({"state_dict": state}, weights)
        found.append((configs() / reference.record()["config"], weights))
    return found


def export(checkout: Path, config: Path, checkpoint: Path, out: Path, target: str) -> dict[str, Path]:
    """The engine's files of a package that a checkout makes, by name."""
    environment = os.environ | PLAIN | {"PYTHONPATH": str(checkout.resolve() / "src")}
    command = [sys.executable, "-c", EXPORT, str(config), str(checkpoint), str(out), target]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {str(file.relative_to(out)): file for file in sorted(out.rglob("*")) if file.name != "manifest.json"}


def difference(old: Path, new: Path) -> str:
    """What is not the same in two files of ONNX."""
    models = [onnx.load(path) for path in (old, new)]
    before, after = (Counter(node.op_type for node in model.graph.node) for model in models)
    more = ", ".join(
        f"{after[kind] - before[kind]:+d} {kind}" for kind in sorted(before | after) if before[kind] != after[kind]
    )
    weights = [sorted(numpy_helper.to_array(one).tobytes() for one in model.graph.initializer) for model in models]
    first, second = (_run(path) for path in (old, new))
    apart = float(np.abs(first - second).max()) if first.shape == second.shape else float("nan")
    other = ", ".join(name for name, part in PARTS.items() if part(models[0]) != part(models[1]))
    return (
        f"{other or 'nothing that is compared'} differ; operators: {more or 'as many of each kind'}; "
        f"weights: {'equal' if weights[0] == weights[1] else 'differ'}; "
        f"results: {apart:.2g} apart, of {np.abs(first).max():.3g}"
    )


def _run(path: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    sides = [side if isinstance(side, int) else size for side, size in zip(given.shape, (1, 3, 256, 256), strict=True)]
    image = np.random.default_rng(0).standard_normal(sides).astype(np.float32)
    return session.run(None, {given.name: image})[0]


def main() -> int:
    """Compare and print; the number of networks that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="config and checkpoint of each network")
    parser.add_argument("--recorded", nargs="+", default=[], help="parts of the names of recorded networks")
    parser.add_argument("--target", default="onnxruntime_dynamic")
    options = parser.parse_args()
    console, differing = Console(soft_wrap=True), 0
    console.print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "onnx", "onnxruntime")))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        given = list(zip(options.files[::2], options.files[1::2], strict=True))
        for number, (config, checkpoint) in enumerate(given + recorded(options.recorded, folder)):
            outs = [folder / f"{side}-{number}" for side in ("old", "new")]
            sides = zip((options.old, options.new), outs, strict=True)
            old, new = (export(side, config, checkpoint, out, options.target) for side, out in sides)
            changed = [
                name
                for name in old.keys() | new.keys()
                if old.keys() != new.keys() or old[name].read_bytes() != new[name].read_bytes()
            ]
            told = [
                f"{name}: {difference(old[name], new[name])}"
                for name in changed
                if name.endswith(".onnx") and name in old and name in new
            ]
            differing += bool(changed)
            console.print(f"{config.stem}: {'; '.join(told or sorted(changed)) or 'byte-identical'}")
    return differing


if __name__ == "__main__":
    sys.exit(main())
