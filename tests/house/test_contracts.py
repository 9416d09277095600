"""The import contracts know every package that must never see torch, those that are still to come among them."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]
TORCH_FREE = {
    "runtime", "formats", "toolchains", "reading.configs", "verification", "onnxgraph", "backends", "vision", "core",
    "metrics", "rasters", "datasets", "serve",
}  # fmt: skip


def test_what_runs_packages_is_forbidden_to_see_torch() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    forbidden = contracts["importlinter:contract:torch-free"]
    assert "torch" in forbidden["forbidden_modules"].split()
    sources = {name.removeprefix("segship.") for name in forbidden["source_modules"].split()}
    there = {name for name in TORCH_FREE if (ROOT / "src" / "segship" / name.replace(".", "/")).exists()}
    assert there == sources


def test_the_order_of_packages_is_exhaustive() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    flow = contracts["importlinter:contract:flow"]
    assert flow.getboolean("exhaustive")
    assert "(serve)" in flow["layers"].split()
