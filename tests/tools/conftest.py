"""A small trained network and its package, made once for the tests of the workshop."""

from __future__ import annotations

from pathlib import Path

import pytest

import segship
from support.trained import write_trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segship.export(*trained, tmp_path_factory.mktemp("packages") / "package").path
