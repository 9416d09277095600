"""Every unit has a recorded reference, but those that are named here with the reason; these lists only shrink.

A recorded reference is a file of numbers (or names) that another implementation made of the same input: the real
MMSegmentation, PaddleSeg, MMDeploy or Segmenter. A unit that has one and is still named here fails the test too.
Geometry steps are named in ``tests/vision/test_geometry_of_other_frameworks.py``; engines need no list, since
``tests/backends/test_every_backend.py`` compares every one with torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segship.datasets import layouts
from segship.reading.configs.config import read_config
from support.references import REFERENCES, configs, model_references

pytest.importorskip("torch", reason="networks and sources need segship[export]")

from segship.models import registry
from segship.sources import sources


def _unrecorded_sources() -> dict[str, str]:
    """The reasons that tests of sources give: ``UNRECORDED = "..."`` in ``tests/sources/test_NAME.py``."""
    reasons = {}
    for file in (Path(__file__).parents[1] / "sources").glob("test_*.py"):
        if reason := re.search(r'^UNRECORDED = "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE):
            reasons[file.stem.removeprefix("test_")] = reason[1]
    return reasons


UNRECORDED = {
    "backbones": {},
    "necks": {},
    "heads": {},
    "text_encoders": {},
    "sources": _unrecorded_sources(),
    "data sets": {
        "camvid": "MMSegmentation has no such data set; classes and colours are the authors' own list",
        "camvid_raw": "as camvid",
        "loveda_raw": "as loveda",
        "potsdam_raw": "as potsdam",
        "vaihingen_raw": "as vaihingen",
        "coco_stuff10k": "shares classes and colours with coco_stuff164k, which a test compares",
    },
}


def _types(value: Any) -> Iterator[str]:
    """Names of all parts in a config's model, without their scope."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"].rpartition(".")[2]
        value = list(value.values())
    for entry in value if isinstance(value, (list, tuple)) else ():
        yield from _types(entry)


def _of_networks() -> set[str]:
    records = [reference.record() for reference in model_references()]
    models = [read_config(configs() / record["config"], record.get("changes")).values["model"] for record in records]
    parts = json.loads((REFERENCES / "parts.json").read_text())
    return {*_types(models), *(name.rpartition("-")[0] for name in parts)}


def _of_sources() -> set[str]:
    folders = {path.name for path in REFERENCES.iterdir() if path.is_dir()}
    return folders | ({"mmseg"} if model_references() else set())


def _of_data_sets() -> set[str]:
    recorded = json.loads((REFERENCES / "mmseg_datasets.json").read_text())
    return {name for name, layout in layouts().items() if set(layout.mmseg_types) & set(recorded)}


def _units() -> dict[str, set[str]]:
    return {
        "backbones": set(registry.backbones),
        "necks": set(registry.necks),
        "heads": set(registry.heads),
        "text_encoders": set(registry.text_encoders),
        "sources": set(sources()),
        "data sets": set(layouts()),
    }


RECORDED = {
    "backbones": _of_networks,
    "necks": _of_networks,
    "heads": _of_networks,
    "text_encoders": _of_networks,
    "sources": _of_sources,
    "data sets": _of_data_sets,
}


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_units_without_a_recorded_reference_are_those_that_are_named(kind: str) -> None:
    assert _units()[kind] - RECORDED[kind]() == set(UNRECORDED[kind])


def test_references_are_complete_pairs() -> None:
    """A network's numbers and its names lie side by side: none can be lost without the test above seeing it."""
    for reference in model_references():
        assert reference.record()["cases"], reference.name
        assert reference.arrays.is_file(), reference.name
    assert Path(REFERENCES / "parts.npz").is_file()
