from __future__ import annotations

import json
from pathlib import Path

from support.commands import refused, segship


def test_table_and_json_without_torch(package: Path, tmp_path: Path) -> None:
    options = ("--batch-sizes", "1,2", "--size", "60x90", "--duration", 0, "--no-memory")
    done = segship("benchmark", package, *options, "--json", tmp_path / "b.json", torch=False)
    assert done.returncode == 0, done.stderr
    assert "from the image file to the mask" in done.stdout
    assert "postprocess" in done.stdout
    found = json.loads((tmp_path / "b.json").read_text())
    assert [entry["batch"] for entry in found["measurements"]] == [1, 2]
    alone = segship("benchmark", package, "--engine-only", "--duration", 0, "--no-memory", "--json", "-", torch=False)
    assert json.loads(alone.stdout)["kind"] == "engine"


def test_what_cannot_be_read_is_said(package: Path) -> None:
    assert "'1,x' is not a list of positive numbers" in refused(segship("benchmark", package, "--batch-sizes", "1,x"))
    assert "'12x' is not a size" in refused(segship("benchmark", package, "--size", "12x"))
