"""``--help`` of every command, held against a snapshot.

They are written anew by::

    SEGSHIP_WRITE_HELP=1 python -m pytest tests/cli/test_help.py

Texts are laid out plainly, 100 columns wide: what a newer version of typer or rich draws around them is not ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from segship.cli.app import app
from segship.cli.options import CLASSES

FOLDER = Path(__file__).parent / "help"
TYPER = "0.29"
WIDTH = 100


def contexts(name: str, command: Any, parent: Any = None) -> Iterator[tuple[str, Any]]:
    """Each command with what typer calls its context, as if it had been called without arguments."""
    width = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = command.make_context(name, [], parent, resilient_parsing=True, **width)
    yield context.command_path, context
    for below, child in getattr(command, "commands", {}).items():
        yield from contexts(below, child, context)


COMMANDS = dict(contexts("segship", typer.main.get_command(app)))


def text_of(path: str) -> str:
    context = COMMANDS[path]
    context.command.rich_markup_mode = None
    text = context.command.get_help(context).replace("\b", "")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.skipif(not version("typer").startswith(f"{TYPER}."), reason=f"snapshots are laid out by typer {TYPER}")
@pytest.mark.parametrize("path", COMMANDS)
def test_help_is_as_it_was_read_last(path: str) -> None:
    file = FOLDER / f"{path.replace(' ', '-')}.txt"
    if os.environ.get("SEGSHIP_WRITE_HELP"):
        file.write_text(text_of(path), encoding="utf-8")
    assert text_of(path) == file.read_text(encoding="utf-8")


def test_no_snapshot_is_of_a_command_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.replace(" ", "-") for path in COMMANDS}


def options() -> Iterator[tuple[str, Any, str]]:
    """Command, option and each of its names; hidden ones are names of version 0.1."""
    for path, context in COMMANDS.items():
        for option in context.command.params:
            if option.param_type_name == "option" and not option.hidden:
                for name in option.opts:
                    yield path, option, name


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("--json", lambda option: option.metavar == "FILE"),
        ("--to", lambda option: "older" in option.help),
        ("--out", lambda option: "ile" in option.help or "icture" in option.help),
        ("--size", lambda option: option.metavar == "HxW"),
        ("--classes", lambda option: option.help == CLASSES),
        ("--device", lambda option: option.help.startswith(("cpu, cuda:0", "What the engines run on"))),
    ],
)
def test_a_word_means_one_thing_in_every_command(word: str, meaning: Callable[[Any], bool]) -> None:
    found = [(path, meaning(option)) for path, option, name in options() if name == word]
    assert len(found) > 1
    assert [path for path, fine in found if not fine] == []


@pytest.mark.parametrize("word", ["--layout", "--shape", "--backend", "--precision"])
def test_words_of_a_package_belong_to_export(word: str) -> None:
    assert [path for path, _, name in options() if name == word] == ["segship export"]


def test_words_of_version_0_1_are_not_shown() -> None:
    old = {"--image", "--data", "--out-format", "--rescale-shape"}
    assert [(path, name) for path, _, name in options() if name in old] == []
