"""The docs site is built without a warning, and shows what it should."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from docs_pages import PAGES, ROOT, names_of, pages


def guides() -> list[str]:
    folder = ROOT / "docs"
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*.md")]


def test_every_page_shows_every_name_of_its_modules() -> None:
    made = pages()
    everything = "\n".join(made.values())
    for modules in PAGES.values():
        for module in modules[1]:
            for _, place in names_of(module):
                assert everything.count(f"::: {place}\n") == 1, place


def test_every_guide_is_found_in_the_navigation() -> None:
    shown = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [path for path in guides() if f": {path}\n" not in shown] == []


def test_every_command_has_its_table_of_options() -> None:
    commands = pages()["reference/commands.md"]
    assert "## segship evaluate" in commands
    assert "| `--eval-options` |" in commands
    assert "segship export SOURCE [CHECKPOINT] OUT [OPTIONS]" in commands


def test_pages_outside_of_the_docs_folder_link_to_pages_inside() -> None:
    made = pages()
    assert "(precision.md)" in made["index.md"]
    assert "](src/" not in made["contributing.md"]
    assert "(tables/speed.md)" in made["index.md"]
    assert "(images/demo.jpg)" in made["index.md"]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None,
    reason='mkdocs is not installed: pip install "segship[docs]"',
)
def test_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "evaluate.html").read_text(encoding="utf-8")
    assert "pair_files" in page
