"""Configs of MMSegmentation's: programs, bombs, nesting, and values without bound."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from inputs.common import Case, damaged, nested, of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = {
    "type": "'EncoderDecoder'",
    "data_preprocessor": "dict(type='SegDataPreProcessor', mean=[120, 110, 100], std=[60, 61, 62], bgr_to_rgb=True)",
    "backbone": "dict(type='CGNet', num_channels=(8, 16, 32), num_blocks=(1, 1), reductions=(4, 4))",
    "decode_head": "dict(type='FCNHead', in_channels=64, in_index=2, channels=64, num_convs=0, concat_input=False, "
    "num_classes=4, align_corners=False)",
    "test_cfg": "dict(mode='whole')",
}
RESIZE = {"type": "'Resize'", "scale": "(160, 96)", "keep_ratio": "True"}


def written(resize: dict[str, str] | None = None, **parts: str) -> str:
    """A config, with some of its parts or of its resizing written otherwise."""
    step = ", ".join(f"{name}={text}" for name, text in (RESIZE | (resize or {})).items())
    model = ", ".join(f"{name}={text}" for name, text in (PARTS | parts).items())
    return (
        f"model = dict({model})\n"
        f"test_pipeline = [dict(type='LoadImageFromFile'), dict({step}), dict(type='PackSegInputs')]\n"
        "test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=test_pipeline))\n"
    )


MODEL = written()
RUN = "__import__('os').mkdir('EXECUTED')"
CODE = (
    RUN, f"eval({RUN!r})", f"exec({RUN!r})", f"(lambda: {RUN})()", f"[{RUN} for _ in [1]]", f"f'{{{RUN}}}'",
    "open('EXECUTED', 'w')", "().__class__.__base__.__subclasses__()", "''.join.__self__.__class__",
    "'{0.__class__.__mro__}'.format(1)", "'%c' % 10**9", "dict.__init__", "globals()", "locals()", "vars()", "breakpoint()",
    "getattr(dict, '__subclasses__')()", "type('X', (), {})", "print.__self__", "(yield)", "(await x)", "(x := 1)", "...",
    "compile('1', '', 'eval')", "help()", "exit()", "input()", "memoryview(b'')", "super()", "𝓮𝓿𝓪𝓵('1')", "__builtins__",
    "{{ fileDirname }}", "{{$HOME:}}", "{{$SEGSHIP:" + RUN + "}}", "{{ _base_.x }}",
)  # fmt: skip
BOMBS = (
    "10**10**8", "2**99999999", "[0] * 10**12", "'a' * 10**12", "[[0] * 10**6] * 10**6", "list(range(10**12))",
    "sum(range(10**12))", "1 << 10**9", "'x'.ljust(10**12)", "'{:>1000000000000}'.format(1)", "f'{1:>1000000000000}'",
    "'%1000000000000d' % 1", "[i for i in range(10**9)]", "[1 for a in range(10**5) for b in range(10**5)]",
    "{i: i for i in range(10**9)}", "{i * (2**61 - 1): 1 for i in range(20000)}", "tuple(range(10**8)) * 10**8",
    "'a'.join(['b' * 10**6] * 10**6)", "len(range(10**20))", "int('9' * 10**6)", "str(10**5000)", "-10**10**9", "9**9**9**9",
    "1.5 ** 10**9", "10**400 * 1.0", "1 // 0", "1 % 0", "1 / 0", "0 ** -1", "-1 ** 0.5", "(-8) ** (1/3)", "float('nan')",
    "'a' * -1", "[1] * 1.5", "[1] + (1,)", "{} + {}", "1 + 'a'", "[][5]", "{}['x']", "(1,)[10**30]", "'abc'[::0]",
    "dict(**{1: 2})", "dict([1])", "{[]: 1}", "{{}: 1}", "set([[]])", "int('x')", "int([])", "range(1.5)", "len(5)",
    "enumerate(5)", "sum('ab')", "max()", "min([])", "abs('x')", "round('x')", "zip(1)", "bool()", "x", "None.x", "*1", "@",
    "1_000_000_000_000_000_000_000", "0x" + "f" * 5000, "1" * 4999, "1e999", "1j", "b'x' * 10**10", "'\\N{BELL}'", "'\\ud800'",
)  # fmt: skip
WHOLE = (
    ("brackets", "a = " + nested(100_000)), ("fewer brackets", "a = " + nested(190)), ("minus", "a = " + "-" * 100_000 + "1"),
    ("not", "a = " + "not " * 50_000 + "1"), ("sums", "a = " + "1+" * 100_000 + "1"), ("dots", "a = x" + ".y" * 100_000),
    ("calls", "a = " + nested(5000, start="dict(a=", end=")")), ("strings", "a = " + "'x' " * 100_000),
    ("ifs", "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 99)) + " " * 99 + "x=1"),
    ("comparisons", "a = " + "1 < " * 50_000 + "2"), ("a long line", "a = '" + "x" * 3_000_000 + "'"), ("NUL", "a = 1\0"),
    ("lines", "\n" * 1_000_000), ("names", "\n".join(f"x{n} = {n}" for n in range(100_000))), ("template", "a='{{$a:" + " " * 200_000),
    ("templates", "a='" + "{{$a:" * 100_000), ("doubling", "a = ['x' * 99]\n" + "a = [a, a]\n" * 60), ("text doubling", "a='x'\n" + "a = a + a\n" * 60),
    ("itself", "a = []\na.append(a)\nb = a"), ("updates", "a = dict()\n" + "a.update(dict(b=a))\n" * 60), ("star", "a = [*'" + "x" * 99_999 + "']"),
    ("stars", "a = dict(x=1)\n" + "a = dict(**a, **a)\n" * 5), ("deleting a base", "_base_ = './c.py'\ndel _base_"), ("itself as base", "_base_ = './c.py'"),
    ("long base", f"_base_ = '{'a' * 300}.py'"), ("a NUL in a base", "_base_ = 'a\\0.py'"), ("a base that is a device", "_base_ = '/dev/zero'"),
    ("number as base", "_base_ = 5"), ("bases", f"_base_ = {['./c.py'] * 2000}"), ("base of a package", "_base_ = 'mmseg::../../../etc/passwd.py'"),
    ("imports", "from mmengine.config import read_base\nwith read_base():\n    from .c import *"), ("import", "import os\nos.mkdir('EXECUTED')"),
    ("a function", f"def f(): {RUN}\nf()"), ("a class", f"class A: x = {RUN}"), ("a decorator", f"@{RUN}\ndef f(): 1"), ("an annotation", f"x: {RUN} = 1"),
    ("an annotation alone", f"x: {RUN}"), ("a loop", "while 1: x = 1"), ("for", "for x in range(10**9): y = x"), ("try", f"try: {RUN}\nexcept: 1"),
    ("with", "with open('EXECUTED', 'w') as f: x = 1"), ("async", "async def f(): 1"), ("global", "global x"), ("assert", f"assert {RUN}"),
    ("match", "match 1:\n case x: y = 1"), ("raise", "raise SystemExit"), ("coding", "# -*- coding: rot13 -*-\na = 1"), ("bom", "\ufeffa = 1"),
    ("walrus", "a = (b := [1])"), ("custom_imports", "custom_imports = dict(imports=['os'])\n" + MODEL), ("json", nested(5000)),
)  # fmt: skip
# What stands in the place of an option of a part.
ABSURD = (
    10**7,
    10**5,
    2**63,
    0,
    -1,
    1e300,
    "'x'",
    "None",
    "[]",
    "(10**5, 1)",
    "dict(type='X')",
    "float('nan')",
    "True",
)


def _of(title: str, text: str) -> Case:
    return of_bytes(title, "c.py", text.encode("utf-8", "surrogatepass"))


def _parts() -> Iterator[Case]:
    """One absurd value for each option of each part of a network."""
    from segship.models.registry import backbones, heads, necks

    values = itertools.cycle(ABSURD)
    for registry, place in ((backbones, "backbone"), (necks, "neck"), (heads, "decode_head")):
        for name in registry:
            for option in inspect.signature(registry[name]).parameters:
                for value in itertools.islice(values, 2):
                    part = f"dict(type={name!r}, {option}={value})"
                    yield _of(f"{name}.{option} is {value}", written(**{place: part}))


def cases() -> Iterator[Case]:
    """All of them."""
    for code in CODE + BOMBS:
        yield _of(code[:60], f"{MODEL}\na = {code}\n")
        yield _of(f"model: {code[:50]}", f"model = dict(type='EncoderDecoder', backbone={code})\n")
    for title, text in WHOLE:
        yield _of(title, text)
        yield of_bytes(f"{title}, as JSON", "c.json", text.encode("utf-8", "surrogatepass"))
    for key in ("data_preprocessor", "test_cfg", "backbone", "decode_head", "type", "neck"):
        for value in (
            "5",
            "'x'",
            "[]",
            "None",
            "dict()",
            "dict(type=5)",
            "dict(type='x' * 5000)",
            "[dict()]",
            "True",
            "1e999",
        ):
            yield _of(f"model.{key} is {value}", written(**{key: value}))
    for key in ("scale", "keep_ratio", "size", "size_divisor", "type", "img_scale", "ratio_range"):
        for value in (
            "10**9",
            "(10**9, 10**9)",
            "(0, 0)",
            "-1",
            "'x'",
            "None",
            "[]",
            "[[1]]",
            "float('nan')",
            "dict()",
        ):
            yield _of(f"Resize.{key} is {value}", written({key: value}))
    yield from _parts()
    for title, data in damaged(MODEL.encode(), 150):
        yield of_bytes(title, "c.py", data)


def read(path: Path) -> None:
    """Read the network and what it means."""
    from segship.sources import load

    load(path, random_weights=True)
