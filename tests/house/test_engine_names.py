"""No room but ``backends`` knows an engine by name: what the others ask of it is in its ``INFO``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from segship.backends import backend_names

SOURCE = Path(__file__).parents[2] / "src" / "segship"
# A whole text, or a word of a sentence. What a sentence shows as an example of a target is not knowledge of an engine.
NAMES = "|".join(backend_names())
WORD = re.compile(rf"(?<![\w.\[/])({NAMES})(?![\w.\]-])")
TARGET = re.compile(rf"({NAMES})(-\w+)?[-_]((dynamic|static)[-\dx]*)?")
# Names that are something else's, too: the room, the name, and what it means there.
ELSE = {
    ("capture", "torchscript"): "a format of graphs",
    ("core", "torchscript"): "a format of graphs",
    ("deploy", "torchscript"): "a format of graphs",
    ("tools", "torchscript"): "a format of graphs",
    ("formats", "torchscript"): "what MMDeploy's configs say",
    ("formats", "tvm"): "what MMDeploy's names say",
    ("formats", "onnxruntime"): "what Triton's configs say",
    ("formats", "openvino"): "what Triton's configs say",
    ("sources", "openvino"): "a source, which has the name of its file",
    ("toolchains", "onnxruntime"): "a package of an environment",
    ("toolchains", "rknn"): "the name of a toolchain, and of its module",
    ("toolchains", "qnn"): "the name of a toolchain, and of its module",
    ("toolchains", "torch"): "a package of an environment",
    ("cli", "rknn"): "an environment that is set up",
    ("cli", "qnn"): "an environment that is set up",
    ("formats", "rknn"): "what MMDeploy's configs say",
    ("cli", "torch"): "a module that export needs",
    ("deploy", "torch"): "a module that export needs",
    ("reading", "torch"): "a module that checkpoints name",
}


def ignored(tree: ast.AST) -> set[ast.AST]:
    """Docstrings, and the extras and modules that an error names when they are missing."""
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    missing = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in {"MissingExtraError", "require"}]
    return {node.value for node in nodes if isinstance(node, ast.Expr)} | {
        value for call in missing for value in ast.walk(call)
    }


def engines_named(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each engine that a string constant names."""
    tree = ast.parse(text)
    skip = ignored(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in skip:
            continue
        whole = TARGET.fullmatch(node.value)
        found = [whole[1]] if whole else WORD.findall(node.value)
        # torch is a library, too, which sentences may speak of.
        yield from ((node.lineno, name) for name in found if name != "torch" or node.value == "torch")


def paths() -> list[str]:
    found = (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    return sorted(path.as_posix() for path in found if path.parts[0] != "backends")


def test_no_engine_is_named_outside_the_backends() -> None:
    named: dict[tuple[str, str], list[str]] = {}
    for path in paths():
        for line, name in engines_named((SOURCE / path).read_text(encoding="utf-8")):
            named.setdefault((path.partition("/")[0], name), []).append(f"{path}:{line}")
    assert {key: places for key, places in named.items() if key not in ELSE} == {}
    assert set(ELSE) <= set(named), "what is not named any more needs no reason"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"""onnxruntime"""', []),
        ('backend = "onnxruntime"', ["onnxruntime"]),
        ('target = "openvino-int8_dynamic"', ["openvino"]),
        ('target = f"openvino_{shape}"', ["openvino"]),
        ('help = "as in openvino-int8_static-512x1024"', []),
        ('help = "of onnxruntime and openvino"', ["onnxruntime", "openvino"]),
        ('kind = "openvino_ir"', []),
        ('x = {"torch": 1}', ["torch"]),
        ('say("torch\'s exporter")', []),
        ('raise MissingExtraError("Exporting", "openvino", "openvino")', []),
    ],
)
def test_what_counts_as_a_name(text: str, names: list[str]) -> None:
    assert [name for _, name in engines_named(text)] == names
