"""Measure the code itself, beside the figures of another checkout, and name its longest and most branched functions.

::

    python dev/figures.py                              # of this checkout
    python dev/figures.py --against ../other-checkout  # and what the other one has
    python dev/figures.py --worst 8                    # and which functions the greatest figures belong to

What is counted, in ``src`` but for its assets:

- Lines of a function: from ``def`` to its end without its docstring. Functions inside functions count too.
- Cyclomatic complexity: one, and one more for each ``if``, loop, ``except``, conditional expression, ``and``, ``or``,
  case of a ``match``, and each loop and condition of a comprehension; nested functions count in the outer one as well.
- Arguments and parameters: all but ``self`` and ``cls``, of every function.
- Public: modules, classes, functions and methods without an underscore before any part of their dotted name; not the
  signatures of an ``@overload``.
- Marks: ``# type: ignore`` and ``# noqa``, whole files' ``# ruff: noqa`` included. ``Any``: each time it is written.
"""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEF = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCH = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
LONG, BRANCHED, MANY = 50, 10, 5


@dataclass(frozen=True)
class Function:
    """One function: where it is, and its figures."""

    place: str
    lines: int
    complexity: int
    parameters: int
    annotated: int


@dataclass
class Code:
    """What was counted in some files."""

    functions: list[Function] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    documented: list[bool] = field(default_factory=list)
    ignores: int = 0
    noqa: int = 0
    any: int = 0

    @property
    def lines(self) -> int:
        """Of all files."""
        return sum(self.files.values())


def complexity(node: ast.AST) -> int:
    """Cyclomatic complexity of a function."""
    total = 1
    for part in ast.walk(node):
        total += isinstance(part, BRANCH)
        if isinstance(part, ast.BoolOp):
            total += len(part.values) - 1
        elif isinstance(part, ast.comprehension):
            total += 1 + len(part.ifs)
    return total


def measure_function(node: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> Function:
    """The figures of one function."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    some = node.args
    parameters = [*some.posonlyargs, *some.args, *some.kwonlyargs, *filter(None, (some.vararg, some.kwarg))]
    parameters = [parameter for parameter in parameters if parameter.arg not in {"self", "cls"}]
    annotated = sum(parameter.annotation is not None for parameter in parameters)
    return Function(f"{path}:{node.lineno} {node.name}", lines, complexity(node), len(parameters), annotated)


def public_docstrings(node: ast.AST) -> Iterator[bool]:
    """Whether each public class, function and method in ``node`` has a docstring."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (*DEF, ast.ClassDef)):
            if not part.name.startswith("_") and not _is_overload(part):
                yield ast.get_docstring(part) is not None
                if isinstance(part, ast.ClassDef):
                    yield from public_docstrings(part)
        else:
            yield from public_docstrings(part)


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a function is one more signature of another, which has the docstring."""
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)


def measure(root: Path, folder: str = "src", *, without: str | None = None) -> Code:
    """Count the Python files in ``root / folder``, but for assets and folders called ``without``."""
    code = Code()
    for file in sorted((root / folder).rglob("*.py")):
        path = file.relative_to(root)
        if {"assets", without} & set(path.parts):
            continue
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        code.files[str(path)] = text.count("\n")
        code.functions += [measure_function(node, str(path)) for node in ast.walk(tree) if isinstance(node, DEF)]
        if not any(re.match("_[^_]", part) for part in path.parts):
            code.documented += [ast.get_docstring(tree) is not None, *public_docstrings(tree)]
        code.ignores += text.count("# type: ignore")
        code.noqa += len(re.findall(r"# (?:ruff: )?noqa", text))
        code.any += len(re.findall(r"\bAny\b", text))
    return code


def percentile(values: Sequence[int], share: float) -> int:
    """The value that ``share`` of the values lie below: 0.5 is the median."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def percent(part: int, whole: int) -> str:
    """``part`` of ``whole``, with two decimals."""
    return f"{100 * part / max(1, whole):.2f} %"


def figures(root: Path, *, without: str | None = None) -> dict[str, str]:
    """All figures of a checkout by their names."""
    code, tests = measure(root, without=without), measure(root, "tests")
    count = len(code.functions)
    lines, branches, parameters = (
        [getattr(function, name) for function in code.functions] for name in ("lines", "complexity", "parameters")
    )
    annotated = sum(function.annotated for function in code.functions)
    long = sum(length > LONG for length in lines)
    branched, many = sum(found > BRANCHED for found in branches), sum(found > MANY for found in parameters)
    longest = max(code.files, key=lambda path: code.files[path], default="")

    def per_thousand(marks: int) -> str:
        return f"{marks} ({1000 * marks / max(1, code.lines):.1f} per 1000 lines)"

    return {
        "files, lines": f"{len(code.files)}, {code.lines}",
        "functions": str(count),
        "function lines, median / p90 / max": f"{_spread(lines)}",
        f"functions > {LONG} lines": f"{long} = {percent(long, count)}",
        "complexity, median / p90 / max": f"{_spread(branches)}",
        f"complexity > {BRANCHED}": f"{branched} = {percent(branched, count)}",
        "longest file": f"{code.files.get(longest, 0)} {Path(longest).name}",
        "arguments annotated": percent(annotated, sum(parameters)),
        "public docstrings": f"{percent(sum(code.documented), len(code.documented))} of {len(code.documented)}",
        "type: ignore": per_thousand(code.ignores),
        "noqa": per_thousand(code.noqa),
        "Any": per_thousand(code.any),
        "parameters, median": str(percentile(parameters, 0.5)),
        f"parameters > {MANY}": f"{many} = {percent(many, count)}",
        "lines of tests": f"{tests.lines} ({tests.lines / max(1, code.lines):.2f} a line of source)",
    }


def _spread(values: Sequence[int]) -> str:
    return f"{percentile(values, 0.5)} / {percentile(values, 0.9)} / {max(values, default=0)}"


def print_table(columns: dict[str, dict[str, str]]) -> None:
    """Print figures of several checkouts side by side, as a Markdown table."""
    names = next(iter(columns.values()))
    print("| |", " | ".join(columns), "|")
    print("|---|", "---|" * len(columns), sep="")
    for name in names:
        print(f"| {name} |", " | ".join(found[name] for found in columns.values()), "|")


def print_worst(code: Code, count: int) -> None:
    """Print the functions with the greatest figures."""
    ranks: dict[str, Callable[[Function], int]] = {
        "lines": lambda function: function.lines,
        "complexity": lambda function: function.complexity,
        "parameters": lambda function: function.parameters,
    }
    for name, figure in ranks.items():
        print(f"\nMost {name}:")
        for function in sorted(code.functions, key=figure, reverse=True)[:count]:
            print(f"  {figure(function):4} {function.place}")


def main() -> None:
    """Print the figures."""
    here = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of the repository")
    parser.add_argument("--without", default="models", help="also count without folders of this name (default: models)")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the N functions that are worst")
    options = parser.parse_args()
    columns = {}
    for title, root in (("here", here), ("the other", options.against)):
        if root is not None:
            columns[title] = figures(root)
            columns[f"{title}, without {options.without}"] = figures(root, without=options.without)
    print_table(columns)
    if options.worst:
        print_worst(measure(here), options.worst)


if __name__ == "__main__":
    main()
