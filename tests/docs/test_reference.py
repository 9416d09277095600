"""Everything that users call says what it takes, gives and raises."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from support.public import public


def section(text: str, title: str) -> str:
    match = re.search(rf"^{title}:\n((?:(?:    .*)?\n)+)", text + "\n", re.MULTILINE)
    return match[1] if match else ""


def named(text: str) -> set[str]:
    heads = re.findall(r"^    ([\w*][\w*, ]*):", text, re.MULTILINE)
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


@pytest.mark.parametrize("name", sorted(public()))
def test_public_name_is_documented(name: str) -> None:
    value = public()[name]
    text = inspect.getdoc(value) or ""
    assert text, f"{name} has no docstring"
    assert not text.startswith(f"{value.__name__}("), f"{name} has no docstring but the one dataclasses makes"
    if inspect.isclass(value):
        fields = _fields(value)
        assert fields <= named(section(text, "Attributes") + section(text, "Args")), f"{name}: attributes undocumented"
        return
    takes = set(inspect.signature(value).parameters) - {"self", "cls", "_"}
    assert takes <= named(section(text, "Args")), f"{name}: arguments undocumented"
    gives = inspect.signature(value).return_annotation
    assert gives in ("None", None) or section(text, "Returns") or _says_it_all(text), f"{name}: no Returns"


def _fields(value: type) -> set[str]:
    if dataclasses.is_dataclass(value):
        return {entry.name for entry in dataclasses.fields(value)}
    if issubclass(value, BaseException) or value.__init__ is object.__init__:
        return set()
    own = getattr(value, "model_fields", None)
    return set(own) if own is not None else set(inspect.signature(value).parameters)


def _says_it_all(text: str) -> bool:
    """A method whose summary names what it returns needs no second sentence."""
    return "Args:" not in text
