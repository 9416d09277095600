"""The pages of the docs site that nobody writes by hand; mkdocs runs this as a hook (see mkdocs.yml).

- ``reference/*.md``: every public name, by its docstring; ``PAGES`` says which modules make a page.
- ``reference/commands.md``: every subcommand with its options.
- ``index.md`` and ``contributing.md``: README.md and CONTRIBUTING.md, their links set right.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

__all__ = ["PAGES", "names_of", "on_files", "on_page_markdown", "pages"]

ROOT = Path(__file__).parents[1]

PAGES = {
    "python": ("Python", ("segship",)),
    "evaluate": ("Evaluation", ("segship.evaluation",)),
    "bench": ("Benchmark", ("segship.bench",)),
    "report": ("Report", ("segship.report",)),
    "tools": (
        "Tools",
        (
            "segship.tools.config",
            "segship.tools.flops",
            "segship.tools.graphs",
            "segship.tools.log",
            "segship.tools.publish",
            "segship.tools.tensors",
            "segship.tools.weights",
            "segship.tools.zoo",
        ),
    ),
    "errors": ("Errors", ("segship.core.errors",)),
}
"""File, title and modules of each page of the reference."""


def names_of(module: str) -> list[tuple[str, str]]:
    """The public classes and functions of a module, in the order of its ``__all__``.

    Args:
        module: Dotted name.

    Returns:
        For each the name that users write, and the place it is defined at.
    """
    loaded = importlib.import_module(module)
    found = []
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if hasattr(value, "__qualname__"):
            found.append((f"{module}.{name}", f"{value.__module__}.{value.__qualname__}"))
    return found


def pages() -> dict[str, str]:
    """The text of each page by its path below the docs folder."""
    shown: set[str] = set()
    made = {f"reference/{name}.md": _reference(*entry, shown) for name, entry in PAGES.items()}
    made["reference/commands.md"] = _commands()
    made["index.md"] = _moved("README.md")
    made["contributing.md"] = _moved("CONTRIBUTING.md")
    return made


def _reference(title: str, modules: tuple[str, ...], shown: set[str]) -> str:
    """One page; what is ``shown`` already on another is left out."""
    lines = [f"# {title}"]
    for module in modules:
        if len(modules) > 1:
            lines += [f"## {module}", "", (importlib.import_module(module).__doc__ or "").strip()]
        for name, place in names_of(module):
            if place in shown:
                continue
            shown.add(place)
            level = 3 if len(modules) > 1 else 2
            lines += ["", f"::: {place}", "    options:", f"      heading: {name}", f"      heading_level: {level}"]
    return "\n".join([*lines, ""])


def _moved(name: str) -> str:
    """A page of the repository's root: what it links to in docs/ lies beside it, other files are named only."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = text.replace("](docs/", "](").replace("](CONTRIBUTING.md)", "](contributing.md)")
    return re.sub(r"\[([^\]]+)\]\((?:src|tests)/[^)]*\)", r"`\1`", text)


def _commands() -> str:
    import typer  # noqa: PLC0415  (an import of the product, which other hooks need not pay for)

    from segship.cli.app import app  # noqa: PLC0415

    lines = ["# Commands", ""]
    for path, command in _walk("segship", typer.main.get_command(app)):
        lines += [f"## {path}", "", *_described(path, command)]
    return "\n".join([*lines, ""])


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from _walk(f"{path} {name}", child)


def _described(path: str, command: click.Command) -> list[str]:
    arguments: list[Any] = [entry for entry in command.params if entry.param_type_name == "argument"]
    shown = [_shown(entry) if entry.required else f"[{_shown(entry)}]" for entry in arguments]
    usage = " ".join([path, *shown, "[OPTIONS]"])
    lines = [(command.help or "").replace("\b", "").strip(), "", "```", usage, "```", "", "| | |", "|---|---|"]
    for entry in command.params:
        names = _shown(entry) if entry in arguments else ", ".join([*entry.opts, *entry.secondary_opts])
        lines.append(f"| `{names}` | {_cell(getattr(entry, 'help', None))} |")
    return [*lines, ""]


def _shown(argument: Any) -> str:
    return argument.metavar or str(argument.name).upper()


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: add the pages to those that lie in the docs folder."""
    from mkdocs.structure.files import File  # noqa: PLC0415

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs: files of the repository that are no pages are named, not linked."""
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:src|tests)/[^)]*\)", r"`\1`", markdown)
