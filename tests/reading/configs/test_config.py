from __future__ import annotations

import contextlib
import json
import os
import textwrap
import time
import tomllib
from pathlib import Path

import pytest

import record_config_digests
from segship.core.errors import ConfigError
from segship.reading.configs.config import read_config

HERE = Path(__file__).parent
DIGESTS = json.loads((HERE.parents[1] / "references" / "mmseg_config_digests.json").read_text())
CASES = tomllib.loads((HERE / "config_cases.toml").read_text())


def write(folder: Path, **files: str) -> Path:
    """Write the files; the path of the last one."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.write_text(textwrap.dedent(text))
    return path


def values(folder: Path, **files: str) -> dict[str, object]:
    return read_config(write(folder, **files)).values


def refusal(folder: Path, text: str) -> str:
    """The message, which must come quickly and be one line."""
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        values(folder, config=text)
    assert time.process_time() - start < 20
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    return str(caught.value)


def test_every_config_of_the_wheel_reads_as_mmengine_reads_it(mmseg_configs: Path) -> None:
    assert len(DIGESTS["configs"]) == 769
    differing = [
        name
        for name, expected in DIGESTS["configs"].items()
        if record_config_digests.config_digest(read_config(mmseg_configs / name).values) != expected
    ]
    assert differing == []


@pytest.mark.parametrize("name", sorted(set(CASES) - {"base_of_an_installed_package"}))
def test_cases_read_as_mmengine_reads_them(name: str, tmp_path: Path) -> None:
    config = read_config(record_config_digests.write_case(CASES[name], tmp_path))
    assert record_config_digests.config_digest(config.values) == DIGESTS["cases"][name]


@pytest.mark.usefixtures("mmseg_configs")
def test_base_in_an_installed_package_is_found_without_importing_it(tmp_path: Path) -> None:
    if os.environ.get("SEGSHIP_MMSEG_CONFIGS"):
        pytest.skip("the configs come from a folder, not from an installed package")
    name = "base_of_an_installed_package"
    config = read_config(record_config_digests.write_case(CASES[name], tmp_path))
    assert record_config_digests.config_digest(config.values) == DIGESTS["cases"][name]


def test_digest_tells_tuples_from_lists_and_integers_from_floats() -> None:
    forms = [{"a": (1, 2)}, {"a": [1, 2]}, {"a": [1.0, 2]}, {1: [1, 2]}, {"1": [1, 2]}, {"a": [True, 2]}]
    assert len({record_config_digests.config_digest(form) for form in forms}) == len(forms)


def test_files_that_were_read_are_listed_with_the_config_first(tmp_path: Path) -> None:
    path = write(tmp_path, base="a = 1", child="_base_ = 'base.py'")
    assert read_config(path).files == (path, tmp_path / "base.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from os import *", "an import (`from os import *`) is not allowed: which names `*` of os brings is not"),
        ("from .names import classes", "files beside the config are imported within `with read_base():` only"),
        ("import os; x = os.system('true')", "calling `os.system` is not allowed"),
        ("from os import system as join; x = join('true')", "calling `join` is not allowed"),
        ("import os; x = os.path.exists('/')", "calling `os.path.exists` is not allowed"),
        ("import os; x = os.environ.copy()", "calling `os.environ.copy` is not allowed"),
        ("import sys; x = sys.maxsize", "`sys.maxsize` has no value that is known without running it"),
        ("import os; x = os.path.join", "`os.path.join` has no value that is known without running it"),
        ("import os; x = [os]", "`os` has no value that is known without running it"),
        ("import os; x = os.environ['SEGSHIP_NOT_SET']", "there is no key 'SEGSHIP_NOT_SET'"),
        ("import os; x = os.path.join('a', 1)", "a path is text, not int"),
        ("from pathlib import Path; x = Path('a').read_text()", "a Path has no method 'read_text'"),
        ("from pathlib import Path; x = Path('a').parents", "a Path has no 'parents'"),
        ("from pathlib import Path; x = Path('a').__class__", "a Path has no '__class__'"),
        ("from pathlib import Path; x = Path('a' * 5000)", "a path of more than 4096 characters"),
        ("import numpy as np; x = np.array([1])", "calling `np.array` is not allowed"),
        ("import torch.nn as nn; x = nn.__class__", "the attribute '__class__' of Imported is not allowed"),
        ("from torch import nn; x = nn.ReLU()", "calling `nn.ReLU` is not allowed"),
        ("import " + "a" * 300, "a name of more than 200 characters"),
        ("import a; x = a." + ".".join("b" * 199), "a name of more than 200 characters"),
        ("x = __import__('os').system('true')", "calling `__import__` is not allowed"),
        ("x = open('/etc/passwd').read()", "calling `open` is not allowed"),
        ("x = eval('1')", "calling `eval` is not allowed"),
        ("x = getattr(dict, 'x')", "calling `getattr` is not allowed"),
        ("x = ().__class__.__base__", "'__class__'"),
        ("x = ().__class__.__base__.__subclasses__()", "__subclasses__` is not allowed"),
        ("x = dict(a=1).a", "the attribute 'a' of dict is not allowed"),
        ("x = '{0.__class__}'.format(1)", "str has no method 'format'"),
        ("x = f'{().__class__}'", "'__class__'"),
        ("x = '%s' % 1", "str and int cannot be joined by Mod"),
        ("x = lambda: 1", "a lambda is not allowed"),
        ("def f():\n    return 1", "a function definition is not allowed"),
        ("class A:\n    pass", "a class definition is not allowed"),
        ("if True:\n    x = 1", "an if statement is not allowed"),
        ("for i in [1]:\n    x = 1", "a for statement is not allowed"),
        ("while True:\n    x = 1", "a while statement is not allowed"),
        ("with open('x') as f:\n    x = 1", "a with statement is not allowed"),
        ("try:\n    x = 1\nexcept E:\n    pass", "a try statement is not allowed"),
        ("x = (y := 1)", "an assignment within an expression is not allowed"),
        ("x = 1j", "1j is not allowed"),
        ("x = ...", "Ellipsis is not allowed"),
        ("x = y", "'y' is not defined in this file"),
        ("model = 1\nx = modle", "Did you mean 'model'?"),
        ("x = dict", "the function dict is not a value"),
        ("dict = 1\nx = dict()", "calling `dict` is not allowed"),
        ("x = dict(a=1)['b']", "there is no key 'b'"),
        ("x = [1][5]", "has no value: list index out of range"),
        ("x = 1 / 0", "has no value: division by zero"),
        ("x = int('a')", "has no value: invalid literal"),
        ("x = {**[1]}", "`**[1]` is not a dictionary"),
        ("x = dict(a=1, **dict(a=2))", "the keyword 'a' is given twice"),
        ("x = {[1]: 2}", "unhashable"),
        ("x, y = [1]", "takes 2 values"),
        ("x = 1\nx.y = 2", "cannot be set"),
        ("x = (1, 2)\nx[0] = 3", "cannot be set"),
        ("del x", "there is no 'x' to delete"),
        ("x = 10.0 ** 1000", "has no value"),
        ("x = (-8) ** 0.5", "complex numbers"),
    ],
)
def test_what_would_have_to_run_is_refused_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, "first = 1\n\n" + text)
    assert words in message
    line = 2 + len(text.split("\n")) if text.startswith(("model", "dict =", "x = 1\n", "x = (1")) else 3
    assert f"config.py, line {line}: " in message
    assert message.endswith("or use the config that training wrote to its work directory (work_dirs)")


def test_all_problems_of_a_config_are_shown_at_once_but_not_their_consequences(tmp_path: Path) -> None:
    message = refusal(tmp_path, "root = open('x')\n\nhere = dict(a=root)\nx = eval('1')\ny = undefined")
    assert "line 1: calling `open`" in message
    assert "line 4: calling `eval`" in message
    assert "line 5: 'undefined'" in message
    assert "line 2" not in message
    assert "line 3" not in message


def test_only_the_first_problems_of_many_are_shown(tmp_path: Path) -> None:
    message = refusal(tmp_path, "from os import *\n" * 12)
    assert message.count("an import") == 5
    assert "7 more" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [0] * 10**12", "more values than any real config"),
        ("x = 10**12 * (0,)", "more values than any real config"),
        ("x = 'a' * 10**12", "more values than any real config"),
        ("x = 10**10**10", "an integer is longer than 1024 bits"),
        ("x = 1 << 10**9", "an integer is longer than 1024 bits"),
        ("x = (2**1000) * (2**1000)", "an integer is longer than 1024 bits"),
        ("x = list(range(10**12))", "more values than any real config"),
        ("x = sum(range(10**12))", "more values than any real config"),
        ("x = [i for i in range(10**12)]", "more values than any real config"),
        ("x = [a for a in range(999) for b in range(9999)]", "more values than any real config"),
        ("x = [[0 for i in range(10**5)] for j in range(10**5)]", "more values than any real config"),
        ("x = f'{1:>999999999}'", "a width or precision above 300"),
        ("w = 10**9\nx = f'{1:>{w}}'", "a width or precision above 300"),
        ("x = round(1, -10**9)", "round to more than 300 digits"),
        ("x = 'a' * 200000\ny = x.replace('a', x)", "more values than any real config"),
        ("x = 'a' * 200000\ny = x.join(list(x))", "more values than any real config"),
        ("a = [0] * 1000\nb = [a] * 1000\nc = [b] * 1000\nd = [c] * 1000", "more values than any real config"),
        ("a = ()\n" + "a = (a, a)\n" * 60 + "d = {a: 1}", "more values than any real config"),
        ("a = []\n" + "a = [a, a]\n" * 60 + "d = a == [a]", "more values than any real config"),
        ("a = []\n" + "a = [a, a]\n" * 60 + "d = str(a)", "more values than any real config"),
        ("a = []\na.append(a)", "nested deeper than 100"),
        ("a = []\n" + "a = [a]\n" * 5000, "nested deeper than 100"),
        ("x = [0] * 200000\ny = [x.insert(0, 1) for i in range(300000)]", "more values than any real config"),
        ("x = " + "[" * 150 + "]" * 150, "nested"),
        ("x = " + "(" * 5000 + ")" * 5000, "not Python"),
        ("x = " + "-" * 100000 + "1", "nested"),
        ("x = " + "+".join("1" * 100000), "nested"),
        ("x = 0x" + "f" * 500, "an integer is longer than 1024 bits"),
        ("x = " + "9" * 5000, "not Python"),
        ("x = '" + "a" * 2**20 + "'", "larger than 1048576 bytes"),
        ("\n".join(f"name{i} = 1" for i in range(20000)) + "\nx = nume1\n" * 400, "'nume1' is not defined"),
        ("from pathlib import Path\np = Path('a' * 4000)\n" + "x = [f'{p}' for i in range(10**5)]", "more values"),
        ("from copy import deepcopy\na = [0] * 10**5\nx = [deepcopy(a) for i in range(99)]", "more values than any"),
        ("y" * 400000 + " = 1\nx = " + "y" * 400001, "is not defined"),
    ],
)
def test_configs_made_to_exhaust_the_machine_fail_quickly(text: str, words: str, tmp_path: Path) -> None:
    assert words in refusal(tmp_path, text)


def test_syntax_error_names_the_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a = 1\nb = dict(\nc = ]")
    assert "config.py, line 3: " in message
    assert "the file is not Python" in message


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"a = 1\x00", "not Python"), (b"\xff\xfe\x00\x01", "not UTF-8"), (b"\x89PNG\r\n\x1a\n", "not UTF-8")],
)
def test_files_that_are_no_text_are_refused(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        read_config(path)


def test_byte_order_mark_and_invalid_escapes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_bytes(b"\xef\xbb\xbfa = '\\d'\n")
    assert read_config(path).values == {"a": "\\d"}


def test_circle_of_base_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a="_base_ = 'b.py'", b="_base_ = ['c.py']", c="_base_ = './b.py'")
    with pytest.raises(ConfigError, match=r"circle \(b.py -> c.py -> b.py\)"):
        read_config(tmp_path / "a.py")


def test_bases_that_multiply_are_refused(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path, **{f"f{number}": f"_base_ = ['f{number + 1}.py'] * 2"})
    write(tmp_path, f30="")
    with pytest.raises(ConfigError, match="more values than any real config"):
        read_config(tmp_path / "f0.py")


def test_missing_base_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        values(tmp_path, config="\n_base_ = ['../_base_/model.py']")
    assert "config.py, line 2: the base file '../_base_/model.py' is not at " in str(caught.value)
    assert str(tmp_path.parent / "_base_" / "model.py") in str(caught.value)
    assert "work directory" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_base_ = [1]", "holds 1, not the name of a file"),
        ("_base_ = name()", "calling `name` is not allowed"),
        ("_base_ = 'nowhere_at_all::x.py'", "which is not installed"),
        ("_base_ = '/dev/zero'", "does not exist or is not a file|not a config|is not at"),
        ("_base_ = 'config.txt'", "is not at"),
    ],
)
def test_bases_that_cannot_be_read_are_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        values(tmp_path, config=text)


def test_two_bases_that_set_the_same_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two base files both set 'model'"):
        values(tmp_path, a="model = 1", b="model = 2", child="_base_ = ['a.py', 'b.py']")


def test_dictionary_over_something_else_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.head is a dictionary, but it is \[1\].*_delete_=True"):
        values(tmp_path, base="model = dict(head=[1])", child="_base_ = 'base.py'\nmodel = dict(head=dict(a=1))")


@pytest.mark.parametrize("name", ["config.yaml", "config", "config.pth"])
def test_other_kinds_of_file_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a: 1")
    with pytest.raises(ConfigError, match=r"expected a .py or .json file"):
        read_config(tmp_path / name)


def test_pipe_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.py")
    with pytest.raises(ConfigError, match="does not exist or is not a file"):
        read_config(tmp_path / "config.py")


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100000, '{"a":' * 500 + "1" + "}" * 500])
def test_json_that_is_no_config_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "config.json")


def test_read_base_takes_nothing_but_config_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"takes `from \.file import"):
        values(tmp_path, base="a = 1", child="with read_base():\n    x = 1")
    with pytest.raises(ConfigError, match="sets no 'b'"):
        values(tmp_path, base="a = 1", child="with read_base():\n    from .base import b")
    with pytest.raises(ConfigError, match="is not at"):
        values(tmp_path, child="with read_base():\n    from .nothing import b")


def test_imported_names_are_no_values_but_may_be_used_by_the_files_that_build_on_theirs(tmp_path: Path) -> None:
    base = "import os\nfrom somewhere.models import Net\nkind = Net"
    child = "with read_base():\n    from .base import *\nmodel = dict(type=Net, root=os.path.join('a', 'b'))"
    model = {"type": "somewhere.models.Net", "root": "a/b"}
    assert values(tmp_path, base=base, child=child) == {"kind": "somewhere.models.Net", "model": model}
    assert values(tmp_path, base=base, other="import os", child="_base_ = ['base.py', 'other.py']") == {
        "kind": "somewhere.models.Net"
    }
    assert values(tmp_path, config="from somewhere import Net\nx = {Net: [Net]}") == {
        "x": {"somewhere.Net": ["somewhere.Net"]}
    }
    assert values(tmp_path, config="from somewhere import Net as SyncBN\nSyncBN = 'BN'") == {"SyncBN": "BN"}


STANDARD_LIBRARY = """
import copy
import math
import os
import os.path as osp
from copy import deepcopy
from os.path import basename, join as join_path
from pathlib import Path
root = osp.join('data', 'camvid')
parts = [os.path.dirname('a/b/c.py'), basename('a/b/c.py'), join_path('x', '/y', 'z'), osp.splitext('a/b.tar.gz')]
work_dir = str(Path('work_dirs') / 'a' / Path('b').joinpath('c.txt').parent)
names = [Path('a/b.tar.gz').stem, Path('a/b.tar.gz').suffix, Path('a/b').name, Path('a').with_suffix('.py').as_posix()]
texts = [f"{Path('a') / 'b'}", osp.normpath('a/../b'), 'a' + os.sep + 'b']
variables = [os.environ.get('A_VARIABLE_NOBODY_SETS', 'default'), os.getenv('A_VARIABLE_NOBODY_SETS')]
numbers = [math.ceil(1.2), math.floor(-1.2), math.sqrt(16), int(math.pi * 100)]
one = [dict(a=1)]
two, three = copy.deepcopy(one), deepcopy(one)
two[0]['a'] = 2
"""


def test_harmless_functions_of_the_standard_library_give_what_python_gives(tmp_path: Path) -> None:
    expected: dict[str, object] = {}
    exec(STANDARD_LIBRARY, expected)  # noqa: S102 - the text above
    found = values(tmp_path, config=STANDARD_LIBRARY)
    assert len(found) == 10
    assert found == {key: expected[key] for key in found}


def test_paths_of_the_file_itself_and_of_the_environment_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSHIP_TEST_ROOT", "/data")
    text = """
        import os
        from pathlib import Path
        a = os.path.dirname(os.path.abspath(__file__))
        b = Path(__file__).resolve().parent / 'names'
        c = os.environ['SEGSHIP_TEST_ROOT'] + '/x'
        d = [Path('a'), dict(b=(Path('c'),))]
    """
    here = tmp_path.as_posix()
    assert values(tmp_path, config=text) == {
        "a": here,
        "b": f"{here}/names",
        "c": "/data/x",
        "d": ["a", {"b": ("c",)}],
    }


def test_real_training_config_is_read(shared: Path) -> None:
    config = read_config(shared / "weights" / "ddrnet_camvid" / "ddrnet_23-slim_camvid-360x480.py")
    assert config.values["model"]["decode_head"]["num_classes"] == 11


def test_environment_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSHIP_TEST_CLASSES", "7")
    text = "n = {{'$SEGSHIP_TEST_CLASSES:19'}}\nm = '{{$SEGSHIP_TEST_UNSET:x}}'"
    assert values(tmp_path, config=text) == {"n": 7, "m": "x"}
    with pytest.raises(ConfigError, match="SEGSHIP_TEST_UNSET is not set"):
        values(tmp_path, config="m = '{{$SEGSHIP_TEST_UNSET:}}'")


@pytest.mark.parametrize(
    "text",
    [
        "a='{{$a:" + " " * 200_000 + "'",
        "a='" + "{{$a:" * 100_000 + "'",
        "a={i*(2**61-1): 1 for i in range(20000)}",
        "a={(i*(2**61-1),): 1 for i in range(20000)}",
        "a=set(i*(2**61-1) for i in range(20000))",
        "a=set([i*(2**61-1) for i in range(20000)])",
        "a=dict([(i*(2**61-1), 1) for i in range(20000)])",
        "a={}\na[2**61-1] = 1",
    ],
)
def test_templates_and_keys_made_to_hang_are_refused_or_read_quickly(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    with contextlib.suppress(ConfigError):
        values(tmp_path, config=text)
    assert time.process_time() - start < 5


def test_an_environment_variable_has_its_value_or_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSHIP_TEST", "set")
    text = "a='{{$SEGSHIP_TEST:default}}'\nb='{{ $SEGSHIP_UNSET : default }}'\nc='{{{{$SEGSHIP_TEST:x}}'"
    assert values(tmp_path, config=text) == {"a": "set", "b": "default", "c": "{{set"}


def test_deleting_the_bases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="_base_"):
        values(tmp_path, base="x = 1", config="_base_ = './base.py'\ndel _base_")


def test_a_base_whose_name_no_file_system_holds_is_refused(tmp_path: Path) -> None:
    assert "is not at" in refusal(tmp_path, f"_base_ = '{'a' * 300}.py'")
    assert "is not at" in refusal(tmp_path, "_base_ = 'a\\0.py'")


@pytest.mark.parametrize("text", ["a = 1\na @= 2\n", "a = 1 @ 2\n", "a = [1]\na @= [2]\n"])
def test_a_product_of_matrices_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ConfigError, match=r"line [12]: .*@"):
        read_config(tmp_path / "config.py")
    (tmp_path / "config.py").write_text("a = ~3\n")
    assert read_config(tmp_path / "config.py").values["a"] == -4
