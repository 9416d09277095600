"""The docs site is built without a warning, and shows what it should."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from check_site import cut_off, find_chromium, foreign
from docs_pages import PAGES, ROOT, names_of, pages

CHROMIUM = find_chromium()


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
    # A section's own page stands without a title of its own.
    assert [path for path in guides() if f": {path}\n" not in shown and f"- {path}\n" not in shown] == []


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


def test_every_option_shows_its_choices_and_its_default() -> None:
    commands = pages()["reference/commands.md"]
    rows = dict.fromkeys(line for line in commands.splitlines() if line.startswith("| `--"))
    assert any("| `--format` | `png`, `npz`, `coco`, `rle`" in row for row in rows)
    assert not any("`--out-format`" in row for row in rows)  # a name of version 0.1
    assert any("| `--opacity` | number, 0 to 1 | `0.5` |" in row for row in rows)


def test_what_a_page_loads_from_elsewhere_is_named(tmp_path: Path) -> None:
    links = '<a href="https://example.org">fine</a><link rel="canonical" href="https://example.org/page">'
    (tmp_path / "a.html").write_text(f'{links}<script src="https://example.org/a.js"></script><img src="b.png">')
    (tmp_path / "a.css").write_text("@font-face{src:url(//example.org/a.woff)} p{background:url(data:x)}")
    assert foreign(tmp_path) == ["a.html loads https://example.org/a.js", "a.css loads //example.org/a.woff"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here: apt-get install chromium")
def test_what_a_reader_cannot_see_is_named(tmp_path: Path) -> None:
    wide = '<div style="width: 700px">wide</div>'
    pages_of = {"wide": wide, "scrolled": f'<div style="overflow-x: auto">{wide}</div>', "narrow": "text"}
    pages_of["hidden"] = f'<div style="overflow: hidden; width: 200px">{wide}</div>'
    for name, body in pages_of.items():
        (tmp_path / f"{name}.html").write_text(f"<!doctype html><body><article>{body}</article>")
    found = cut_off(tmp_path, str(CHROMIUM), widths=(390, 1280))
    assert {(line.split(":")[0]) for line in found} == {
        *("wide.html at 390 pixels", "hidden.html at 390 pixels", "hidden.html at 1280 pixels"),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "mkdocstrings", "material")):
        pytest.skip("mkdocs is not installed: pip install --group docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    assert "pair_files" in (site / "reference" / "evaluate.html").read_text(encoding="utf-8")
    assert foreign(site) == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here: apt-get install chromium")
def test_nothing_of_the_site_is_cut_off(site: Path) -> None:
    assert cut_off(site, str(CHROMIUM)) == []
