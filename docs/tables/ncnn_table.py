"""The table of docs/tables/ncnn.md that says which families of networks run in ncnn.

::

    python docs/tables/ncnn_table.py CONFIGS [--only swin,pspnet] [--size 96x128]

CONFIGS is MMSegmentation's folder of configs. One network of each family, with weights from a formula, is converted at
SIZE, or the nearest that it takes, and compared with PyTorch. Results are merged into docs/tables/ncnn.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from segship import SegshipError, Target, load_network
from segship.backends import ncnn
from segship.capture import CaptureOptions, capture
from segship.networks.session import EagerSession

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from families import DAMPING, FAMILIES
from support import fill

RESULTS, PAGE = (Path(__file__).parent / name for name in ("ncnn.json", "ncnn.md"))
BEGIN, END = "<!-- ncnn: begin -->", "<!-- ncnn: end -->"
_EQUAL = 1e-3  # of the greatest logit
_OVERFLOWING = {"segnext"}  # with weights as they are; what else is damped elsewhere is so for larger images


def measure(config: Path, size: tuple[int, int], damping: dict[str, float] | None) -> dict[str, object]:
    """The greatest difference of the logits as a share of the greatest, or why there is no engine."""
    network = load_network(config)
    fill.fill_network(network, damping)
    size = network.sizes.nearest(*size)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = Path(folder) / "engine"
        out.mkdir()
        try:
            graph = capture(
                network, Path(folder) / "model.pt", CaptureOptions(size=size, dynamic=False), format="torchscript"
            )
            session = ncnn.open(ncnn.convert(graph, Target.parse(f"ncnn_static-{size[0]}x{size[1]}"), out))
            found = session.run({"image": fill.image(*size)})["logits"]
        except SegshipError as error:
            return {"refused": str(error)}
    expected = EagerSession(network).run({"image": fill.image(*size)})["logits"]
    if found.shape != expected.shape:
        return {
            "refused": f"logits of shape {found.shape} instead of {expected.shape}: the export's comparison refuses it"
        }
    return {"difference": float(np.abs(found - expected).max() / np.abs(expected).max())}


def table(results: dict[str, dict[str, object]]) -> str:
    """One row for each family."""
    lines = ["| family | in ncnn |", "|---|---|"]
    for family, result in sorted(results.items()):
        difference = result.get("difference")
        if isinstance(difference, float):
            told = "runs" if difference < _EQUAL else "differs: the export's comparison refuses it"
            lines.append(f"| {FAMILIES[family][0]} | {told} ({difference:.0e}) |")
        else:
            lines.append(f"| {FAMILIES[family][0]} | {str(result['refused']).replace('|', '/')} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the families that are asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--size", default="96x128")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    wanted = set(filter(None, options.only.split(",")))
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for family, (_, _, name) in FAMILIES.items():
        if wanted and family not in wanted:
            continue
        try:
            config = options.configs / family / f"{name}.py"
            results[family] = measure(config, (height, width), DAMPING[family] if family in _OVERFLOWING else None)
        except SegshipError as error:
            results[family] = {"refused": str(error)}
        print(family, results[family], flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{table(results)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
