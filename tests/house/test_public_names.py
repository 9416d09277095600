from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import segship


def modules() -> list[str]:
    found = pkgutil.walk_packages(segship.__path__, "segship.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


def test_every_public_name_can_be_imported() -> None:
    for name in segship.__all__:
        assert getattr(segship, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentor_'"):
        _ = segship.segmentor_


@pytest.mark.parametrize("name", modules())
def test_all_is_exact(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        defined = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == name]
        assert not [key for key in defined if not key.startswith("_")], f"{name} defines public names but no __all__"
        return
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for key in module.__all__:
        assert hasattr(module, key), f"{name}.__all__ names {key!r}, which does not exist"
    for key, value in vars(module).items():
        here = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name
        if here and not key.startswith("_"):
            assert key in module.__all__, f"{name} defines {key!r} but __all__ leaves it out"
