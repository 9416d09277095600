from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import hypothesis
import pytest

from support.references import configs

REFERENCES = Path(__file__).parent / "references"

# The same examples in every run, few enough to be quick; a processor that is busy is no failure.
hypothesis.settings.register_profile("segship", derandomize=True, database=None, deadline=None, max_examples=60)
hypothesis.settings.load_profile("segship")


def find_shared() -> Path | None:
    folder = Path(os.environ.get("SEGSHIP_SHARED", Path(__file__).parents[2] / "shared"))
    return folder if (folder / "reference").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = find_shared()
    if folder is None:
        pytest.skip("the folder of full references, weights and data sets is not here (set SEGSHIP_SHARED)")
    return folder


@pytest.fixture(scope="session")
def mmseg_configs() -> Path:
    return configs()


@pytest.fixture(autouse=True)
def _denormals_are_numbers() -> None:
    """An ONNX Runtime session that an earlier test opened may have told this thread to take denormals for zero."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def pytest_collection_finish() -> None:
    # What is here now stays to the end: no collection of garbage, of which each export asks for two, needs to look
    # through thousands of tests and modules again.
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backends", default="", help="comma-separated engines to test; default: all that are installed")
