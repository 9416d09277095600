"""The Python that the guides and docstrings show runs, in a folder that holds what it names.

A block that needs more than the folder has says so before it: ``<!-- not run: reason -->``, ``<!-- needs: module -->``.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs_pages import ROOT
from support.public import public

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (not run|needs): (.+?) -->\n+)?```python\n(.*?)```", re.DOTALL)


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), start=1):
            found.append(pytest.param(*match.groups(), id=f"{page.stem}-{number}", marks=_marks(match[3])))
    return found


def doctests() -> list[Any]:
    finder = doctest.DocTestFinder(recurse=False)
    found = [(name, finder.find(value, name, globs={})) for name, value in sorted(public().items())]
    return [
        pytest.param(tests[0], id=name, marks=_marks(tests[0].docstring or ""))
        for name, tests in found
        if tests and tests[0].examples
    ]


def _marks(code: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if re.search(r"segship\.export|duration=[1-9]", code) else []


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def _require(text: str, folder: Path) -> None:
    name = re.search(r"[\w-]+_cityscapes[\w-]+\.py", text)
    if name is not None and not (folder / name[0]).is_file():
        pytest.skip("MMSegmentation's configs are not installed: pip install --no-deps mmsegmentation")


@pytest.mark.parametrize(("kind", "what", "code"), blocks())
def test_block_of_a_guide_runs(kind: str | None, what: str | None, code: str, here: Path) -> None:
    if kind == "not run":
        pytest.skip(str(what))
    if kind == "needs" and importlib.util.find_spec(str(what)) is None:
        pytest.skip(f"{what} is not installed")
    _require(code, here)
    exec(compile(code, "guide", "exec"), {})  # noqa: S102


@pytest.mark.parametrize("example", doctests())
def test_example_of_a_docstring_gives_what_it_says(example: doctest.DocTest, here: Path) -> None:
    _require(example.docstring or "", here)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=told.append)
    assert runner.failures == 0, "".join(told)
