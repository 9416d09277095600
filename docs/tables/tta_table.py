"""The page docs/tables/tta.md: test-time augmentation beside MMSegmentation's own, over a whole test set.

::

    python docs/tables/tta_table.py SHARED [--case NUMBER] [--limit N]

SHARED holds ``reference/tta`` (configs, MMSegmentation's figures and label maps), ``weights`` and ``data/camvid``.
Every config is exported; the package is evaluated with the augmentation that its config describes. Rows are merged
into docs/tables/tta.json: about a minute each on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import segship

RESULTS, PAGE = (Path(__file__).parent / name for name in ("tta.json", "tta.md"))
WEIGHTS = {"cgnet": "cgnet_camvid/cgnet_camvid_mmseg_keys.pth", "ddrnet": "ddrnet_camvid/iter_2400.pth"}
CASES = (
    ("cgnet_flip", "cgnet_flip", "config"),
    ("cgnet_flip", "cgnet_scales", "flip,scales=0.5,1.0,1.5"),
    ("cgnet_scales", "cgnet_scales", "config"),
    ("cgnet_scales_0x", "cgnet_scales", "config"),
    ("ddrnet_flip", "ddrnet_flip", "config"),
)
HEAD = """# Test-time augmentation

Packages for ONNX Runtime in fp32, made of each config, over the 233 test images of CamVid, beside what MMSegmentation
1.2.2 itself gives (`SegTTAModel` over `TestTimeAug`). *Labels equal*: of MMSegmentation's label map of every twentieth
image. Made by `docs/tables/tta_table.py` on an EPYC with AVX-512, VNNI and bf16; one figure stands where two are equal
to 0.01.

| config | `--tta` | aAcc | mIoU | mAcc | labels equal |
|---|---|---|---|---|---|
"""


def measure(shared: Path, config: str, recorded: str, tta: str, limit: int | None) -> dict[str, Any]:
    """What one row of the table says."""
    folder = shared / "reference" / "tta"
    weights = shared / "weights" / WEIGHTS[config.split("_", maxsplit=1)[0]]
    camvid = shared / "data" / "camvid"
    with tempfile.TemporaryDirectory() as scratch:
        package = segship.export(segship.Source(folder / f"{config}.py", weights), Path(scratch) / "package")
        data = segship.Data.folders(camvid / "img_dir" / "test", camvid / "ann_dir" / "test", limit=limit)
        found = segship.evaluate(package, data, tta=tta).scores.means
        with segship.Segmentor(package, tta=tta) as segmentor, np.load(folder / f"{recorded}.npz") as labels:
            masks = ((segmentor(camvid / "img_dir" / "test" / name), labels[name]) for name in labels.files)
            equal = float(np.mean([(mask == label).mean() for mask, label in masks]))
    theirs = json.loads((folder / f"{recorded}.json").read_text())
    pairs = {name: (found[name], theirs[name]) for name in ("aAcc", "mIoU", "mAcc")}
    return {"config": config, "tta": tta, "equal": equal, **pairs}


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The table of the rows that were measured."""
    lines = []
    for _, row in sorted(rows.items()):
        cells = " | ".join(_cell(*row[name]) for name in ("aAcc", "mIoU", "mAcc"))
        lines.append(f"| `{row['config']}.py` | `{row['tta']}` | {cells} | {row['equal']:.4%} |")
    return HEAD + "\n".join(lines) + "\n"


def _cell(ours: float, theirs: float) -> str:
    return f"{ours:.2f}" if f"{ours:.2f}" == f"{theirs:.2f}" else f"{ours:.2f} (theirs: {theirs:.2f})"


def main() -> None:
    """Measure every case and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("shared", type=Path)
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="measure this row only")
    parser.add_argument("--limit", type=int, help="evaluate only the first N images, for a trial that writes nothing")
    given = parser.parse_args()
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for number in range(len(CASES)) if given.case is None else [given.case]:
        rows[str(number)] = measure(given.shared, *CASES[number], given.limit)
        print(rows[str(number)], flush=True)
        if given.limit is None:
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
