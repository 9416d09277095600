"""The figures of a few lines whose figures are counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import figures

SOURCE = '''\
"""A module."""
from typing import Any

def plain(a: int, *more: int, key: Any = None):
    """Two lines of docstring,

    which do not count."""
    return a

def branching(a, b):  # noqa: D103
    if a and b or not a:            # if, and, or
        return [x for x in a if x]  # a loop and a condition
    for x in a:                     # a loop
        try:
            x()
        except ValueError:          # a handler
            pass
    return 1 if a else 2            # a conditional

class Shown:
    """A class."""

    def method(self, x: int): return x  # type: ignore

    def _hidden(self): pass

@overload
def plain(a: int): ...

class _Own:
    def method(self): pass
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "src/shown.py": SOURCE,
        "src/_hidden.py": "def unseen(): pass\n",
        "src/assets/demo.py": "def ignored(): pass\n",
        "src/models/net.py": '"""Networks."""\n',
        "tests/test_it.py": "x = 1\ny = 2\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_functions_are_measured_without_docstrings_and_with_every_branch(root: Path) -> None:
    found = {function.place: function for function in figures.measure(root).functions}
    plain, branching = found["src/shown.py:4 plain"], found["src/shown.py:10 branching"]
    assert (plain.lines, plain.complexity, plain.parameters, plain.annotated) == (2, 1, 3, 3)
    assert (branching.lines, branching.complexity, branching.parameters, branching.annotated) == (9, 9, 2, 0)
    assert found["src/shown.py:23 method"].parameters == 1
    assert len(found) == 7


def test_marks_and_docstrings_are_counted(root: Path) -> None:
    code = figures.measure(root)
    assert (code.ignores, code.noqa, code.any) == (1, 1, 2)
    # Two modules, plain, Shown and Networks' module have one; branching and Shown.method have none.
    assert (code.documented.count(True), code.documented.count(False)) == (4, 2)
    assert code.files == {"src/_hidden.py": 1, "src/models/net.py": 1, "src/shown.py": 31}


def test_a_table_shows_checkouts_side_by_side(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures.print_table({"here": figures.figures(root), "less": figures.figures(root, without="models")})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | here | less |"
    assert "| files, lines | 3, 33 | 2, 32 |" in lines
    assert "| functions > 50 lines | 0 = 0.00 % | 0 = 0.00 % |" in lines
    assert "| arguments annotated | 71.43 % | 71.43 % |" in lines
    assert "| lines of tests | 2 (0.06 a line of source) | 2 (0.06 a line of source) |" in lines


def test_this_repository_keeps_its_word() -> None:
    """No argument is without a type, nothing public without a docstring."""
    code = figures.measure(Path(__file__).parents[2])
    assert all(function.annotated == function.parameters for function in code.functions)
    assert all(code.documented)
