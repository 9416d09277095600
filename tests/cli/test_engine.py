"""``segship doctor --engine``."""

from __future__ import annotations

import json

from support.commands import refused, segship


def test_it_lists_the_options_of_an_engine_by_type() -> None:
    report = json.loads(segship("doctor", "--engine", "tensorrt", "--json").stdout)
    assert report["options"]["workspace"]["type"] == "int"
    assert report["options"]["workspace"]["minimum"] == 1
    assert report["packages_made_here"] in {"verified on the engine", "built, not verified here"}
    assert "--option workspace=NUMBER" in segship("doctor", "--engine", "tensorrt").stdout


def test_one_that_is_not_there_is_one_line() -> None:
    assert "no backend is called 'rkn'" in refused(segship("doctor", "--engine", "rkn"))
    assert "two questions" in refused(segship("doctor", "--engine", "tensorrt", "--setup", "paddle"))
