"""The table of engines in docs/precision.md, from what each backend says of itself.

::

    python docs/tables/engines_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segship.backends import backend_names, find_backend
from segship.core.kits import has_recipe

if TYPE_CHECKING:
    from segship.core.artifacts import Backend

PAGE = Path(__file__).parents[2] / "docs" / "precision.md"
BEGIN, END = "<!-- engines: begin -->", "<!-- engines: end -->"


def table() -> str:
    """One row for each backend, and under the table what each cannot do, with the reason."""
    lines = ["| engine | precisions | shapes | install | a package is |", "|---|---|---|---|---|"]
    gaps = []
    for name in backend_names():
        info = find_backend(name).INFO
        shapes = "any" if info.dynamic else "static"
        install = f"`segship[{info.extra}]`" if info.extra else "base"
        state = _state(find_backend(name))
        lines.append(f"| `{name}` ({info.title}) | {', '.join(info.precisions)} | {shapes} | {install} | {state} |")
        gaps += [f"- `{name}`, {gap}: {reason}" for gap, reason in info.gaps.items()]
        gaps += [f"- `{name}`, safety: opening an engine runs code: {info.runs_code}"] if info.runs_code else []
    return "\n".join([*lines, "", "What they do not do, and why:", "", *gaps])


def _state(backend: Backend) -> str:
    """What can be known of a package, where the engine's own device is not here."""
    if has_recipe(backend):
        return "verified by what a kit's chip returned, or built, not verified here"
    if any(device.simulator for device in backend.probe()):
        return "verified on the vendor's simulator"
    return "built, not verified here" if backend.INFO.unverified else "verified on the engine"


def page(text: str) -> str:
    """``text`` with the table between its marks."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
