"""The page *Package structure* is true: it names every package and repeats the contracts of imports."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = configparser.ConfigParser()
CONTRACTS.read(ROOT / ".importlinter")
LAYERS = CONTRACTS["importlinter:contract:flow"]["layers"].split("\n")[1:]
FORBIDDEN = CONTRACTS["importlinter:contract:torch-free"]["source_modules"].split()
TORCHS = {"sources", "quantize", "reading", "capture", "models", "networks"}
"""Packages below `runtime` that have to do with torch; of `reading`, ``configs`` has not."""


def packages() -> list[str]:
    """The packages of `segship` and those within them; commands, tools and sources have pages of their own."""
    root = ROOT / "src" / "segship"
    found = [path.parent.relative_to(root) for pattern in ("*", "*/*") for path in root.glob(f"{pattern}/__init__.py")]
    names = [
        path.as_posix() for path in found if len(path.parts) == 1 or path.parts[0] not in {"cli", "tools", "sources"}
    ]
    return sorted(name for name in names if "_scripts" not in name)


@pytest.mark.parametrize("package", packages())
def test_each_package_is_named(package: str) -> None:
    assert re.search(rf"\b{Path(package).name}/", PAGE)


def test_the_order_is_that_of_the_contract() -> None:
    order = re.search(r"^`(cli > .*)`$", PAGE, re.MULTILINE)
    assert order is not None
    layers = [re.sub(r"[()]", "", layer) for layer in LAYERS]
    assert order[1].split(" > ") == [layer for layer in layers if layer != "__main__"]


def test_all_from_runtime_down_is_kept_from_torch() -> None:
    names = [re.findall(r"\w+", layer) for layer in LAYERS]
    first = next(place for place, layer in enumerate(names) if "runtime" in layer)
    below = {name for layer in names[first:] for name in layer} - TORCHS
    assert {f"segship.{name}" for name in below | {"serve", "reading.configs"}} == set(FORBIDDEN)


def test_the_page_names_what_never_sees_torch() -> None:
    sentence = re.search(r"^((?:`[\w.]+`,?\s+(?:and\s+)?)+)never import torch", PAGE, re.MULTILINE)
    assert sentence is not None
    assert {f"segship.{name}" for name in re.findall(r"`([\w.]+)`", sentence[1])} == set(FORBIDDEN)
