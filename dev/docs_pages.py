"""The pages of the docs site that nobody writes by hand; mkdocs runs this as a hook (see mkdocs.yml).

- ``reference/*.md``: every public name, by its docstring; ``PAGES`` says which modules make a page.
- ``reference/commands.md``: every subcommand with its options, their choices and defaults.
- ``reference/c.md``: the C header, section by section; its comments are the reference.
- ``index.md``, ``contributing.md`` and ``changelog.md``: README.md, CONTRIBUTING.md and CHANGELOG.md, their links set
  right.
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
HERE = ("https://github.com/segship/segship/blob/main/", "https://raw.githubusercontent.com/segship/segship/main/")
"""What README's links to files of the repository begin with."""

PAGES = {
    "python": ("Python", ("segship",)),
    "evaluate": ("Evaluation", ("segship.evaluation",)),
    "bench": ("Benchmark", ("segship.bench",)),
    "report": ("Report", ("segship.report",)),
    "serve": ("Serve", ("segship.serve",)),
    "tools": (
        "Tools",
        (
            "segship.tools.config",
            "segship.tools.flops",
            "segship.tools.graphs",
            "segship.tools.log",
            "segship.tools.publish",
            "segship.tools.service",
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
    made["reference/c.md"] = _c_header((ROOT / "native/include/segship/segship.h").read_text(encoding="utf-8"))
    made["index.md"] = _moved("README.md")
    made["contributing.md"] = _moved("CONTRIBUTING.md")
    made["changelog.md"] = _moved("CHANGELOG.md")
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


def _c_header(text: str) -> str:
    """The sections of a header, each with its declarations and their comments as they stand."""
    introduction, _, rest = text.partition("*/")
    prose = re.sub(r"^(/\*| \* ?)", "", introduction, flags=re.MULTILINE).strip()
    lines = ["# C", "", prose, ""]
    for section in re.split(r"^/\* -{4} ", rest, flags=re.MULTILINE)[1:]:
        title, _, code = section.partition(" -")
        code = code.partition("*/")[2].partition("#ifdef __cplusplus")[0]
        lines += [
            f"## {title}",
            "",
            "```c",
            code.replace("SEGSHIP_API ", "").replace(" SEGSHIP_NOEXCEPT", "").strip(),
            "```",
            "",
        ]
    return "\n".join(lines)


def _moved(name: str) -> str:
    """A page of the repository's root: what it links to in docs/ lies beside it, other files are named only.

    README links by whole addresses, so that its links also work on a package index.
    """
    text = (ROOT / name).read_text(encoding="utf-8")
    for whole in HERE:
        text = text.replace(whole, "")
    text = text.replace("](docs/", "](").replace("](CONTRIBUTING.md)", "](contributing.md)")
    text = text.replace("](CHANGELOG.md)", "](changelog.md)").replace("](README.md)", "](index.md)")
    return re.sub(r"\[([^\]]+)\]\((?:src|tests)/[^)]*\)", r"`\1`", text)


def _commands() -> str:
    import typer

    from segship.cli.app import app

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
    lines = [(command.help or "").replace("\b", "").strip(), "", "```text", usage, "```", ""]
    lines += ["| option | takes | default | |", "|---|---|---|---|"]
    context = command.context_class(command)
    for entry in (entry for entry in command.params if not getattr(entry, "hidden", False)):
        names = _shown(entry) if entry in arguments else _names(entry)
        cells = (f"`{names}`", _takes(entry, context), _default(entry), _cell(getattr(entry, "help", None)))
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _shown(argument: Any) -> str:
    return argument.metavar or str(argument.name).upper()


def _names(option: Any) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _takes(entry: Any, context: Any) -> str:
    """Choices, a type with its range, or the name of what is given; nothing for a switch."""
    if getattr(entry, "is_flag", False) or entry.display_type(context) == "<bool>":
        return ""
    kind = entry.display_type(context).strip("<>").removesuffix(" range").removeprefix("list[").removesuffix("]")
    kind = {"str": "text", "Path": "path", "int": "whole number", "float": "number"}.get(kind, kind)
    if "|" in kind:
        return ", ".join(f"`{choice}`" for choice in kind.split("|"))
    limits = f"{entry.min} to {entry.max}" if entry.max is not None else f"at least {entry.min}"
    kind = f"{kind}, {limits}" if entry.min is not None else kind
    named = entry.metavar if entry.param_type_name == "option" else None
    return _cell(f"{named} ({kind})" if named and entry.min is not None else named or kind)


def _default(entry: Any) -> str:
    if entry.required:
        return "required"
    return "" if entry.default in (None, False, "", ()) or callable(entry.default) else f"`{entry.default}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: add the pages to those that lie in the docs folder."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """mkdocs: files of the repository that are no pages are named, not linked; tables have the whole width."""
    if page.file.src_path.startswith("tables/"):
        page.meta["hide"] = ["toc"]
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:src|tests)/[^)]*\)", r"`\1`", markdown)
