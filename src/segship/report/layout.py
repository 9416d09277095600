"""What the pages of reports have in common."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["document", "grid"]

_STYLE = """
:root{color-scheme:light;--ink:#1c1e21;--soft:#5b6470;--line:#d9dde3;--paper:#fff;--band:#f5f6f8}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:40px 0 8px}
p{margin:6px 0;max-width:72ch}
.soft{color:var(--soft);font-size:.875rem}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{background:var(--band);font-weight:600;vertical-align:bottom;white-space:normal}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
th:first-child{background:var(--band)}
tr:last-child td{border-bottom:0}
ol.notes{font-size:.875rem;color:var(--soft);margin:8px 0;padding-left:24px}
td.best{font-weight:700}
.dot{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:7px}
svg{display:block;width:100%;max-width:760px;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}
svg .grid{stroke:var(--line);stroke-width:1}
svg .in{fill:#fff;font-weight:600}
.masks img{display:block;width:220px;height:auto;border-radius:3px}
.masks td,.masks th{padding:6px;vertical-align:top;text-align:left}
.masks tr td{border-bottom:0}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:10px 0 0;padding:0;list-style:none;font-size:.875rem}
@media (max-width:600px){main{padding:16px 12px 48px}h1{font-size:1.25rem}th,td{padding:5px 8px}.masks img{width:150px}
th:first-child,td:first-child{white-space:normal;min-width:104px}
svg{font-size:18px}}
"""


def document(title: str, body: str) -> str:
    """Write a page.

    Args:
        title: As text.
        body: HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table that scrolls where it is too wide.

    Args:
        head: Titles, as text.
        lines: Cells, as HTML.
    """
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows_ = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in line)}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{rows_}</tbody></table></div>'
