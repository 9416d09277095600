"""What was recorded from the real MMSegmentation, and where its config files are."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REFERENCES = Path(__file__).parents[1] / "references"


def configs() -> Path:
    """Folder of MMSegmentation's config files: from $SEGSHIP_MMSEG_CONFIGS or the installed wheel, never imported."""
    named = os.environ.get("SEGSHIP_MMSEG_CONFIGS")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("mmseg")
    folders = [Path(place, ".mim", "configs") for place in (spec.submodule_search_locations if spec else None) or ()]
    if not folders or not folders[0].is_dir():
        pytest.skip("MMSegmentation's config files are not here: pip install --no-deps mmsegmentation==1.2.2")
    return folders[0]


@dataclass(frozen=True)
class ModelReference:
    """One recorded network: its state-dict shapes and its logits at some sizes."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.path.read_text())
        return record

    @property
    def arrays(self) -> Path:
        return self.path.with_suffix(".npz")


def model_references() -> list[ModelReference]:
    """All recorded networks: those kept here, and those of $SEGSHIP_REFERENCES if it names a folder of more."""
    folders = [REFERENCES / "models"]
    if "SEGSHIP_REFERENCES" in os.environ:
        folders.append(Path(os.environ["SEGSHIP_REFERENCES"]))
    return [ModelReference(path) for folder in folders for path in sorted(folder.glob("*.json"))]
