"""docs/tables/reports.md: what users reported of tools like this one, what happens here, and the test that holds it.

::

    python docs/tables/reports.py

reports.json has the rows: what was reported and where, what trait of the input it is about, what Segship does with it,
and the tests. A test that is not there is an error.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAGE", "ROWS", "missing", "page"]

ROOT = Path(__file__).parents[2]
ROWS, PAGE = Path(__file__).with_name("reports.json"), Path(__file__).with_name("reports.md")
HEAD = """# Reports of users

Public reports of trouble with frameworks and deployment tools, and faults that were found by trying (*tried*), each
with what Segship does with such an input and the test that holds it. `docs/tables/reports.py` writes this page.

"""
SECTIONS = {"R": "Reports", "A": "A newcomer's findings: results", "B": "A newcomer's findings: words",
            "C": "A newcomer's findings: what was missing", "H": "Hostile and broken input"}  # fmt: skip


def tests_of(row: dict[str, str]) -> list[str]:
    """The tests of a row, as path::name."""
    return row["tests"].split()


def missing(rows: list[dict[str, str]]) -> Iterator[str]:
    """The tests that rows name and that are not there.

    Args:
        rows: Of reports.json.

    Yields:
        Each with its row.
    """
    for row in rows:
        for test in tests_of(row):
            path, _, name = test.partition("::")
            file = ROOT / "tests" / path
            names = (
                {
                    node.name
                    for node in ast.walk(ast.parse(file.read_text("utf-8")))
                    if isinstance(node, ast.FunctionDef)
                }
                if (file.is_file())
                else set()
            )
            if name not in names:
                yield f"{row['id']}: tests/{test}"


def page(rows: list[dict[str, str]]) -> str:
    """The page.

    Args:
        rows: Of reports.json.
    """
    parts = [HEAD]
    for letter, title in SECTIONS.items():
        parts += [f"## {title}\n\n| report | trait | result | test |\n|---|---|---|---|\n"]
        for row in rows:
            if row["id"].startswith(letter):
                tests = "<br>".join(f"`{test}`" for test in tests_of(row)) or "none"
                parts.append(f"| {row['report']} | {row['trait']} | {row['result']} | {tests} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


def main() -> int:
    """Write the page; the status is the number of tests that are not there."""
    rows = json.loads(ROWS.read_text("utf-8"))
    lost = list(missing(rows))
    for line in lost:
        print(f"no such test: {line}", file=sys.stderr)
    PAGE.write_text(page(rows), encoding="utf-8")
    return len(lost)


if __name__ == "__main__":
    sys.exit(main())
