"""``segship tools compare-service``: a service against a package."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from segship.core.errors import InputError
from segship.tools.service import Protocol, compare_service

from .conftest import Client


@pytest.fixture
def pictures(scene: bytes, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(scene)
    return tmp_path / "in"


@pytest.mark.parametrize("protocol", get_args(Protocol))
def test_masks_of_a_service_are_its_packages(
    client: Client, package: Path, pictures: Path, protocol: Protocol, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{client.port}"
    to = tmp_path / "out"
    (found,) = compare_service(url, package, [pictures], protocol=protocol, name="one", to=to)
    assert (found.image.name, found.labels_equal) == ("a.jpg", 1.0)
    assert (to / "a.jpg").is_file()


def test_another_package_differs(client: Client, other: Path, pictures: Path) -> None:
    (found,) = compare_service(f"127.0.0.1:{client.port}", other, [pictures], name="one")
    assert found.labels_equal < 1


def test_what_is_no_service_is_told(client: Client, package: Path, pictures: Path) -> None:
    for url, reason in (
        ("ftp://a", "no address"),
        ("http://127.0.0.1:9", "cannot be asked"),
        (f"http://127.0.0.1:{client.port}", "answers 404: .*no model 'none'"),
    ):
        with pytest.raises(InputError, match=reason):
            compare_service(url, package, [pictures], name="none")
