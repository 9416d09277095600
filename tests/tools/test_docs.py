"""Every command that the guides show exists, with every option they give it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from segship.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = (
    *("coming-from.md", "evaluation.md", "export.md", "get-started.md", "precision.md", "report.md", "sources.md"),
    "tools.md",
)


def commands(text: str) -> list[str]:
    """What begins with ``segship`` on a line of a code block, or between backticks."""
    shown = re.findall(r"^segship .+$", text, re.MULTILINE) + re.findall(r"`(segship [^`]+)`", text)
    return [line.partition(" #")[0].strip() for line in shown]


def lines() -> list[tuple[str, str]]:
    return [(name, line) for name in GUIDES for line in commands((DOCS / name).read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("guide", "line"), lines())
def test_the_command_and_its_options_exist(guide: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = typer.main.get_command(app)
    while isinstance(commands_of := getattr(command, "commands", None), dict) and words and words[0] in commands_of:
        command = commands_of[words.pop(0)]
    is_group = bool(getattr(command, "commands", None))
    assert words == ["…"] or not is_group or all(word.startswith("-") for word in words), f"{guide}: {line}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert given <= known, f"{guide}: {line}"


def test_the_guides_show_every_tool() -> None:
    text = "\n".join(line for _, line in lines())
    group = typer.main.get_command(app).commands["tools"]
    assert [name for name in group.commands if f"segship tools {name}" not in text] == []
