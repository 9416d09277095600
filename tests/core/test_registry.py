from __future__ import annotations

import pytest

from segship.core.errors import UnsupportedError
from segship.core.registry import Registry


@pytest.fixture
def registry() -> Registry[type]:
    return Registry("fruit", "segship.core")


def test_a_unit_is_found_under_its_name(registry: Registry[type]) -> None:
    @registry.register
    class Apple:
        pass

    assert registry["Apple"] is Apple
    assert list(registry) == ["Apple"]
    assert "Apple" in registry
    assert len(registry) == 1


def test_a_taken_name_raises_and_changes_nothing(registry: Registry[type]) -> None:
    registry.register_as("Apple")(int)
    with pytest.raises(ValueError, match="two units are called 'Apple' among the fruits"):
        registry.register_as("Apple")(str)
    assert registry["Apple"] is int


def test_a_near_name_is_suggested(registry: Registry[type]) -> None:
    registry.register_as("Apple")(int)
    with pytest.raises(UnsupportedError, match=r"no fruit is called 'Aple'. Did you mean 'Apple'\?"):
        _ = registry["Aple"]
