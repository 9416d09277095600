from __future__ import annotations

import importlib
from typing import get_args

import pytest

from segship.backends import backend_names, find_backend
from segship.core.artifacts import Quantizer

TOOLS = get_args(Quantizer)


def test_engines_name_tools_that_there_are() -> None:
    assert {find_backend(name).INFO.quantizer for name in backend_names()} == set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_is_a_module_called_like_it(tool: str) -> None:
    module = importlib.import_module(f"segship.quantize.{tool}")
    assert [name for name in module.__all__ if name.startswith("quantize_")]
