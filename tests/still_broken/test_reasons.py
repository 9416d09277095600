"""Each test of this folder expects a fault and says what can go when the fault is mended."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "segship"


def faults() -> Iterator[tuple[str, str]]:
    """Each test and its reason to be expected to fail; empty where it has none."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path != Path(__file__):
                marks = [mark for mark in node.decorator_list if "xfail" in ast.unparse(mark)]
                reasons = [ast.literal_eval(key.value) for mark in marks for key in mark.keywords]  # type: ignore[attr-defined]
                yield node.name, " ".join(reasons)


@pytest.mark.parametrize(("name", "reason"), list(faults()))
def test_a_fault_names_the_file_whose_workaround_can_go(name: str, reason: str) -> None:
    assert reason.startswith("drop "), name
    assert reason.endswith(" when this passes"), name
    named = [word for word in reason.split() if word.endswith(".py")]
    assert len(named) == 1, name
    assert (SOURCE / named[0]).is_file(), f"{name}: {named[0]} is gone; has the workaround moved?"
