"""Sources on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from segship.cli.options import split_paths
from segship.core.errors import InputError
from support.commands import refused, segship
from support.segmenter import VARIANT
from support.trained import write_trained


@pytest.mark.parametrize(
    ("paths", "source", "expected"),
    [
        (["a", "b"], None, ("a", None, Path("b"))),
        (["a", "b", "c"], None, ("a", "b", Path("c"))),
        (["a"], "python:m:f", ("python:m:f", None, Path("a"))),
        (["a", "b", "c"], "python:m:f", ("a", "b", Path("c"))),
    ],
)
def test_paths_are_told_apart(paths: list[str], source: str | None, expected: tuple[str, str | None, Path]) -> None:
    assert split_paths(paths, source) == expected


@pytest.mark.parametrize("paths", [["a"], ["a", "b", "c", "d"]])
def test_too_few_or_too_many_paths_are_told(paths: list[str]) -> None:
    with pytest.raises(InputError, match=r"paths are given.*SOURCE CHECKPOINT OUT"):
        split_paths(paths, None)


def test_info_tells_of_a_source_before_the_export(tmp_path: Path) -> None:
    (tmp_path / "variant.yml").write_text(yaml.dump(VARIANT))
    done = segship("info", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Segmenter(vit_tiny_patch16, Linear/16) (segmenter)" in done.stdout
    assert "windows of 64x64, every 48x48" in done.stdout
    assert "sidewalk" in done.stdout
    said = json.loads(segship("info", tmp_path, "--json").stdout)
    assert said["spec"]["classes"][0] == "road"
    assert said["sizes"]["multiple_of"] == 16
    assert said["provenance"]["random_weights"]
    assert "weights        the weights are random" in done.stdout
    line = refused(segship("export", tmp_path, tmp_path / "out"))
    assert "has no checkpoint.pth" in line
    assert "--random-weights" in line


def test_info_tells_of_a_config_with_its_checkpoint(tmp_path: Path) -> None:
    done = segship("info", *write_trained(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "EncoderDecoder(CGNet, FCNHead) (mmseg)" in done.stdout


def test_what_is_not_recognised_lists_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").touch()
    for path in (tmp_path, tmp_path / "weights.bin"):
        line = refused(segship("export", path, tmp_path / "out"))
        for title in ("MMSegmentation: ", "Segmenter: ", "Hugging Face: ", "ONNX: ", "python:package.module:function"):
            assert title in line
    assert "--trust" in refused(segship("export", "--source", "python:os:getcwd", tmp_path / "out"))
