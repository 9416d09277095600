"""The table of docs/tables/deploy_configs.md: what each of MMDeploy's deploy configs for segmentation leads to.

::

    SEGSHIP_RKNN_ENV=… python docs/tables/deploy_configs.py [--only NAME,NAME] [--again] [--table]

The demo's trained network is exported for each name as a user would write it, or its kit is written where the vendor's
tools are not here. What is told is what the package's manifest says, or the error. Results are kept in
docs/tables/deploy_configs.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import warnings
from pathlib import Path

import segship
from segship.backends import find_backend
from segship.core.kits import has_recipe
from segship.deploy import find_target

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tests"))

from kits.test_other_vendors import mmdeploy_names

RESULTS, PAGE = (HERE / f"deploy_configs.{suffix}" for suffix in ("json", "md"))
BEGIN, END = "<!-- deploy configs: begin -->", "<!-- deploy configs: end -->"
DEMO = HERE.parents[1] / "src" / "segship" / "assets" / "demo"
NEEDED = {"ascend": {"soc": "Ascend310P3"}}  # what a vendor's tool cannot do without
_MOST = 300  # characters of a reason

Row = dict[str, object]


def outcome(name: str) -> Row:
    """What the name is read as, and what comes of it."""
    target = find_target(f"segmentation_{name}.py")
    target = target.model_copy(update={"options": {**target.options, **NEEDED.get(target.backend, {})}})
    source = segship.Source(DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth")
    int8 = segship.Int8(calibration=DEMO / "images", labels=DEMO / "labels") if target.precision == "int8" else None
    row: Row = {"target": str(target)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if has_recipe(find_backend(target.backend)):
                kit = segship.export_kit(source, Path(folder) / "kit", target, int8=int8)
                return row | {"told": f"a kit of {len(kit.files or ())} files; its ONNX file agrees with the network"}
            return row | {"told": exported(source, Path(folder), target, int8)}
        except segship.SegshipError as error:
            return row | {"told": f"refused here: {_line(error)}"}


def exported(source: segship.Source, folder: Path, target: segship.Target, int8: segship.Int8 | None) -> str:
    """What the package's manifest says; where only --allow-inexact writes it, with that."""
    try:
        return segship.export(source, folder / "out", target=target, int8=int8).manifest.standing
    except segship.SegshipError as error:
        if "--allow-inexact" not in str(error):
            raise
        reason = _line(error)
    made = segship.export(source, folder / "out", target=target, int8=int8, allow_inexact=True)
    return f"{made.manifest.standing}, with --allow-inexact: {reason}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_MOST]


def table(results: dict[str, Row]) -> str:
    """One row for each name."""
    lines = ["| deploy config | target | what it leads to |", "|---|---|---|"]
    for name in sorted(mmdeploy_names()):
        row = results.get(name, {"target": "", "told": "not run"})
        told = re.sub(r"/\S*/", "…/", str(row["told"])).replace("|", "/")
        lines.append(f"| `segmentation_{name}` | `{row['target']}` | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Export what is asked for and missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,NAME")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table", action="store_true", help="only write the page")
    options = parser.parse_args()
    results = _read()
    wanted = set(filter(None, options.only.split(",")))
    for name in sorted(mmdeploy_names()) if not options.table else ():
        if (wanted and name not in wanted) or (name in results and not options.again):
            continue
        row = outcome(name)
        print(name, row, flush=True)
        results = _read() | {name: row}  # anew: two runs may share the names between them
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{table(_read())}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _read() -> dict[str, Row]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


if __name__ == "__main__":
    main()
