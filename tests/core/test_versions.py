from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from segship.core import versions
from segship.core.versions import module_versions


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of distributions."""
    monkeypatch.syspath_prepend(str(tmp_path))
    versions._providers.cache_clear()
    yield tmp_path
    versions._providers.cache_clear()


def install(site: Path, name: str, number: str, module: str) -> None:
    info = site / f"{name.replace('-', '_')}-{number}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n")


def test_a_version_is_of_the_distribution_that_provides_the_module(site: Path) -> None:
    install(site, "fastruntime-gpu", "1.22.1", "fastruntime")
    assert module_versions(["fastruntime"]) == {"fastruntime-gpu": "1.22.1"}


def test_of_two_that_provide_it_both_are_told(site: Path) -> None:
    install(site, "fastruntime-gpu", "1.22.1", "fastruntime")
    install(site, "fastruntime", "1.21", "fastruntime")
    assert module_versions(["fastruntime"]) == {"fastruntime": "1.21", "fastruntime-gpu": "1.22.1"}


def test_what_is_not_installed_has_no_version() -> None:
    assert module_versions(["numpy", "nosuchmodule"]) == {"numpy": version("numpy"), "nosuchmodule": None}
