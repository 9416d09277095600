from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from segship.core.errors import ConfigError
from segship.reading.description import read_description
from segship.reading.documents import parse_yaml, read_mapping

pytest.importorskip("yaml")

HOSTILE = {
    "a timestamp that is none": "a: !!timestamp x",
    "a truth that is none": "a: !!bool x",
    "an integer that is none": "a: !!int ''",
    "a float of base 60": "a: 1" + ":59" * 20_000 + ".5",
    "an integer of base 60": "a: 1" + ":59" * 300_000,
    "many values": "a: [" + "1," * 500_000 + "]",
    "many keys": "".join(f"a{n}: 1\n" for n in range(80_000)),
    "deep lists": "a: " + "[" * 20_000,
    "laughs": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)),
    "an object": "a: !!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_yaml_made_to_hang_or_to_raise_is_refused_in_one_line(name: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"x\.yaml") as caught:
        parse_yaml(HOSTILE[name], "x.yaml")
    assert time.process_time() - start < 5
    assert "\n" not in str(caught.value)


def test_numbers_tuples_and_texts_are_read() -> None:
    text = "a: [1, 0x10, 1.5, .inf, 1:30]\nb: !!python/tuple [1, 2]\nc: true\nd: text"
    assert parse_yaml(text, "x") == {"a": [1, 16, 1.5, float("inf"), 90], "b": (1, 2), "c": True, "d": "text"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no fifos")
def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        read_mapping(tmp_path / "x.yaml")


def test_a_file_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ConfigError, match="more than any description"):
        read_mapping(path)


def test_merges_cost_what_they_copy() -> None:
    levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30)]
    with pytest.raises(ConfigError, match="more values than any real config"):
        parse_yaml("\n".join(["a0: &a0 {x: 1}", *levels]), "x.yaml")
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}", "x.yaml")["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize("scale", [1e308, 1e-300])
def test_a_scale_that_leaves_no_numbers_is_told(scale: float) -> None:
    given = {"normalization": {"mean": [1, 2, 3], "std": [1, 2, 3], "max_pixel_value": scale}}
    with pytest.raises(ConfigError, match="max_pixel_value"):
        read_description(given).spec(source="onnx", architecture="x", outputs=3)
