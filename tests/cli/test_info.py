"""``segship info``: the contract of a package at a glance, and where it was read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from support.commands import segship
from support.manifests import edit_manifest

PACKAGES = Path(__file__).parents[2] / "spec" / "vectors" / "packages"
PLACE = {"kind": "read", "where": "x.py: data_preprocessor.mean"}
ASSUMED = {"kind": "assumed", "where": "nothing in x.onnx says it"}
VALUES = ("normalization", "size_rule", "padding", "inference", "output", "threshold", "classes", "palette")


def test_people_can_check_the_contract(tmp_path: Path) -> None:
    package = Path(shutil.copytree(PACKAGES / "keep_ratio_bgr", tmp_path / "package"))
    provenance = dict.fromkeys(VALUES, PLACE) | {"channel_order": ASSUMED}

    def change(values: dict[str, object]) -> None:
        values["provenance"] = provenance
        values["spec"]["normalization"]["mean"] = [103.53000000000002, 116.28, 123.675]  # type: ignore[index]

    edit_manifest(package, change)
    done = segship("info", package, torch=False)
    assert done.returncode == 0, done.stderr
    assert "channel order  BGR  [assumed: nothing in x.onnx says it]" in done.stdout
    assert "mean 103.53 116.28 123.675; std 57.5 57 58.5  [x.py: data_preprocessor.mean]" in done.stdout
    assert "resize to fit 60x100 (height x width), aspect ratio kept; pad to a multiple of 16 with 0" in done.stdout
    assert "kind=" not in done.stdout
    assert re.findall(r"■ 0 class 0 #[0-9a-f]{6}", done.stdout)
    assert done.stdout.rstrip().endswith("assumed: channel order BGR (nothing in x.onnx says it)")


def test_a_package_of_version_1_opens_and_says_what_it_lacks(tmp_path: Path) -> None:
    package = Path(shutil.copytree(PACKAGES / "one_pixel", tmp_path / "package"))
    path = package / "manifest.json"
    values = json.loads(path.read_text())
    del values["digest"], values["provenance"]
    path.write_text(json.dumps(values | {"schema_version": 1}))
    done = segship("info", package, torch=False)
    assert done.returncode == 0, done.stderr
    assert "note: The package was written by version 0.1, whose manifests hold no digest of themselves" in done.stdout
