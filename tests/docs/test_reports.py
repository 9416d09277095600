"""The page of users' reports names tests that are there, and a result for each row."""

from __future__ import annotations

import json

from reports import PAGE, ROWS, missing, page


def test_the_page_is_what_its_rows_say_and_every_test_is_there() -> None:
    rows = json.loads(ROWS.read_text("utf-8"))
    assert list(missing(rows)) == []
    assert [row["id"] for row in rows if not row["result"]] == []
    assert PAGE.read_text("utf-8") == page(rows)


def test_a_test_that_is_not_there_is_named() -> None:
    row = {"id": "R0", "report": "", "trait": "", "result": "", "tests": "docs/test_reports.py::test_nothing"}
    assert list(missing([row])) == ["R0: tests/docs/test_reports.py::test_nothing"]
