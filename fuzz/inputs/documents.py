"""YAML and JSON: descriptions of graphs, by tags, anchors, nesting and values without bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from inputs.common import Case, damaged, mutations, nested, of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION: dict[str, Any] = {
    "classes": ["road", "wall", "sky"], "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "align_corners": False,
    "normalization": {"channel_order": "rgb", "mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0, 3.0], "max_pixel_value": 255},
    "geometry": [{"kind": "resize", "height": 64, "width": 96}, {"kind": "letterbox", "height": 64, "width": 64}],
    "padding": {"multiple_of": 32, "value": 0.0}, "sizes": {"multiple_of": 32, "minimum": [32, 32]},
    "slide": {"crop": [64, 64], "stride": [32, 32]}, "reduce_zero_label": False, "architecture": "x", "threshold": 0.5,
}  # fmt: skip
TAGS = (
    "!!python/object/apply:os.mkdir [EXECUTED]", "!!python/object/new:os.mkdir [EXECUTED]", "!!python/name:os.system ''", "!!python/module:os ''",
    "!!python/object:os.X {}", "!!python/tuple [1]", "!!python/tuple 5", "!!python/complex 1", "!!timestamp x", "!!timestamp 9999-99-99", "!!bool x",
    "!!int ''", "!!int 9e9", "!!float x", "!!float ''", "!!binary x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!null x", "!!seq x", "!!map [1]",
    "!!str [1]", "!x y", "!!merge x", "!!value x", "0o9", "1:59:59", "1_0", ".inf", "-.nan", "0x" + "f" * 90, "9" * 5000, "2026-01-01", "~", "*x", "&x",
)  # fmt: skip
TEXTS = (
    ("laughs", "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))),
    ("merges", "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 30))),
    ("itself", "a: &a [*a]"), ("itself as key", "? &a [*a]\n: 1"), ("itself merged", "a: &a {<<: *a}"), ("deep flow", "a: " + nested(100_000)),
    ("deep", "a: " + nested(400)), ("deep maps", "a: " + nested(50_000, start="{a: ", end="}")), ("deep blocks", "".join(" " * n + "a:\n" for n in range(2000))),
    ("big list", "a: [" + "1," * 400_000 + "]"), ("big map", "".join(f"a{n}: 1\n" for n in range(60_000))), ("base 60", "a: 1" + ":59" * 20_000 + ".5"),
    ("colons", ":" * 200_000), ("quotes", "'" * 200_000), ("dashes", "- " * 100_000), ("questions", "? " * 50_000), ("bangs", "!" * 100_000),
    ("ampersands", "&a " * 50_000), ("pipes", "a: |" + "\n x" * 200_000), ("escapes", 'a: "' + "\\x41" * 200_000 + '"'), ("percent", "%YAML 9.9\n---\na: 1"),
    ("tags", "%TAG ! x\n" * 10_000 + "---\na: 1"), ("documents", "---\na: 1\n" * 10_000), ("list keys", "? [a, b]\n: 1"), ("map keys", "? {a: 1}\n: 1"),
    ("surrogates", 'a: "\\ud800"'), ("NUL", "a: \0"), ("tabs", "a:\t\t\t- b"), ("a bell", "a: \x07"), ("utf-16", "\ufeffa: 1"), ("slow keys", "".join(f"{k * (2**61 - 1)}: 1\n" for k in range(9000))),
    ("a number", "5"), ("a list", "[1]"), ("nothing", ""), ("a text", "x"), ("twice", "classes: 3\nclasses: 4"), ("many classes", "classes: 1000000000"), ("multiples", "sizes: {multiple_of: 1000000}"),
    ("a minimum", "sizes: {minimum: [1000000, 1000000]}"), ("a resize", "geometry: [{kind: resize, height: 1000000, width: 1000000}]"),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    for tag in TAGS:
        yield of_bytes(tag[:40], "x.yaml", f"a: {tag}\n".encode())
        yield of_bytes(f"normalization: {tag[:40]}", "x.yaml", f"normalization: {tag}\n".encode())
    for title, text in TEXTS:
        for suffix in ("yaml", "json"):
            yield of_bytes(f"{title}, {suffix}", f"x.{suffix}", text.encode("utf-8", "surrogatepass"))
    for title, tree in mutations(DESCRIPTION, 350):
        yield of_bytes(title, "x.yaml", yaml.safe_dump(tree, allow_unicode=False).encode("utf-8", "surrogatepass"))
    for title, data in damaged(yaml.safe_dump(DESCRIPTION).encode(), 100):
        yield of_bytes(title, "x.yaml", data)


def read(path: Path) -> None:
    """Describe a network of three classes."""
    from segship.reading.description import read_description

    read_description(path, {}).spec(source="onnx", architecture="x", outputs=3)
