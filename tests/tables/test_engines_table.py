from __future__ import annotations

import engines_table


def test_the_page_says_what_the_backends_say_of_themselves() -> None:
    text = engines_table.PAGE.read_text(encoding="utf-8")
    assert engines_table.page(text) == text, "run docs/tables/engines_table.py"
