from __future__ import annotations

from typing import Any

import pytest

from segship.core.errors import ConfigError
from segship.reading.options import merge_options, parse_option, require_count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2", -2),
        ("1e-3", 0.001),
        ("1.0", 1.0),
        ("True", True),
        ("false", False),
        ("None", None),
        ("none", "none"),
        ("", ""),
        ("text", "text"),
        ("'1'", 1),
        ('"a b"', "ab"),
        ("1,2,3", [1, 2, 3]),
        ("[a, b, c]", ["a", "b", "c"]),
        ("[(1, 2, 3), [a, b], c]", [(1, 2, 3), ["a", "b"], "c"]),
        ("(512,1024)", (512, 1024)),
        ("[]", []),
        ("()", ()),
        ("(1,)", (1,)),
        ("[[1]]", [[1]]),
        ("a=b", "a=b"),
        ("['x','y']", ["x", "y"]),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("http://host/a.pth", "http://host/a.pth"),
    ],
)
def test_values_are_read_as_dict_action_reads_them(text: str, value: object) -> None:
    key, parsed = parse_option(f"a.b={text}")
    assert key == "a.b"
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["", "a", "=1", "a=[1", "a=1)", "a=(1]", "a=[(1,2]"])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_option(text)


@pytest.mark.parametrize("text", ['a.size={"height": 64, "width": 96}', "a.size={height:64}", "a.size='{}'"])
def test_a_mapping_is_given_by_its_values(text: str) -> None:
    with pytest.raises(ConfigError, match=r"one by one, as in a\.size\.name=value"):
        parse_option(text)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_option("a=" + "[" * 5000 + "]" * 5000)


def config() -> dict[str, Any]:
    return {"model": {"depth": 50, "head": [{"n": 19}, {"n": 19}]}, "scale": (1, 2), "pipe": [{"type": "A"}]}


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        (["model.depth=18"], "model", {"depth": 18, "head": [{"n": 19}, {"n": 19}]}),
        (["model.head.1.n=2"], "model", {"depth": 50, "head": [{"n": 19}, {"n": 2}]}),
        (["model.new.key=x"], "model", {"depth": 50, "head": [{"n": 19}, {"n": 19}], "new": {"key": "x"}}),
        (["model._delete_=True", "model.a=1"], "model", {"a": 1}),
        (["scale=[3,4]"], "scale", [3, 4]),
        (["pipe.0.type=B", "pipe.0.x=1"], "pipe", [{"type": "B", "x": 1}]),
        (["pipe.0=B"], "pipe", ["B"]),
        ({"model.depth": (1, 2)}, "model", {"depth": (1, 2), "head": [{"n": 19}, {"n": 19}]}),
    ],
)
def test_options_are_laid_over_the_config(options: Any, path: str, value: object) -> None:
    before = config()
    assert merge_options(before, options)[path] == value
    assert before == config()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["pipe.1.type=B"], "pipe has only 1 items"),
        (["pipe.type=B"], "pipe is a list, so its items are named by numbers"),
        (["scale.0=1"], "scale is a dictionary, but it is"),
        (["model.depth.x=1"], "model.depth is a dictionary, but it is 50"),
        (["a.b=1", "a.b.c=2"], "contradict each other"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        merge_options(config(), options)


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None])
def test_what_counts_nothing_is_no_count(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^net\.json: classes is .*, expected a whole number above 0$"):
        require_count(value, "net.json: classes")


def test_counts_have_a_greatest() -> None:
    assert require_count(7, "classes", most=7) == 7
    with pytest.raises(ConfigError, match="classes is 8, expected a whole number of 1 to 7"):
        require_count(8, "classes", most=7)
