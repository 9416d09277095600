"""The page of figures, docs/tables/robustness.md: each script here writes its own section of it."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tables" / "robustness.md"
_HEAD = """# Robustness

What was done to Segship, and what came of it. Each section names the script that wrote it; `make fuzz` fuzzes for an hour.
"""


def write_section(title: str, text: str, page: Path = PAGE) -> None:
    """Write a section, in place of an earlier one of the same title.

    Args:
        title: Its heading.
        text: Markdown below it.
        page: The file; it is made where there is none.
    """
    parts = page.read_text(encoding="utf-8").split("\n## ") if page.exists() else [_HEAD]
    sections = {name: body for name, _, body in (part.partition("\n") for part in parts[1:])}
    sections[title] = f"\n{text.strip()}\n"
    body = "".join(f"\n## {name}\n{section.rstrip()}\n" for name, section in sections.items())
    page.write_text(_HEAD + body, encoding="utf-8")
