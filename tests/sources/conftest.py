from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def find_mmseg_configs() -> Path | None:
    """The folder of MMSegmentation's configs: $SEGSHIP_MMSEG_CONFIGS, or those of an installed wheel (not imported)."""
    if folder := os.environ.get("SEGSHIP_MMSEG_CONFIGS"):
        return Path(folder)
    try:
        distribution = importlib.metadata.distribution("mmsegmentation")
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(distribution.locate_file("mmseg/.mim/configs")))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def mmseg_configs() -> Path:
    folder = find_mmseg_configs()
    if folder is None:
        pytest.skip("MMSegmentation's configs are not here: pip install --no-deps mmsegmentation==1.2.2")
    return folder


def load_script(name: str) -> ModuleType:
    """A module of ``scripts/``, whose definitions a recording and its test share."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorder() -> ModuleType:
    return load_script("record_config_digests")


@pytest.fixture(scope="session")
def pipeline_recorder() -> ModuleType:
    return load_script("record_pipelines")
