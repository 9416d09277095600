"""The ways to call `segship.export`: new, of version 0.1, and those that contradict themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import segship
from segship import deploy
from segship.core.errors import InputError
from segship.core.target import Shape


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[segship.Source, Path, Any]]:
    """What was asked for: the source, the folder, and the options; nothing is exported."""
    found: list[tuple[segship.Source, Path, Any]] = []

    def build(load: Any, out: Path, options: Any) -> str:
        found.append((load.__self__, out, options))
        return "package"

    monkeypatch.setattr(deploy, "build_package", build)
    return found


FORMS = {
    "source and folder": lambda: segship.export(segship.Source("c.py", "w.pth"), "out"),
    "source, named folder": lambda: segship.export(segship.Source("c.py", "w.pth"), out="out"),
    "three paths": lambda: segship.export("c.py", "w.pth", "out"),
    "three named paths": lambda: segship.export(config="c.py", checkpoint="w.pth", out="out"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str, asked: list[Any]) -> None:
    assert FORMS[form]() == "package"
    ((source, out, options),) = asked
    assert source == segship.Source("c.py", "w.pth")
    assert out == Path("out")
    assert str(options.target) == "onnxruntime_dynamic"


@pytest.mark.parametrize("paths", [("folder", "out"), ("folder", None, "out")])
def test_a_network_that_brings_its_weights_needs_two_paths(paths: tuple[Any, ...], asked: list[Any]) -> None:
    segship.export(*paths)
    assert asked[0][:2] == (segship.Source("folder"), Path("out"))


def test_what_says_where_the_network_comes_from_is_handed_on(asked: list[Any]) -> None:
    options: dict[str, Any] = {"cfg_options": {"a.b": 1}, "source": "mmseg", "spec": {"classes": ["a"]}, "trust": True}
    segship.export("c.py", "w.pth", "out", **options)
    assert asked[0][0] == segship.Source("c.py", "w.pth", **options)
    for name, value in (*options.items(), ("checkpoint", "w.pth")):
        arguments = {name: value} | ({"out": "out"} if name == "checkpoint" else {})
        with pytest.raises(InputError, match=f"a Source names {name} itself"):
            segship.export(segship.Source("c.py"), *(() if name == "checkpoint" else ("out",)), **arguments)


def test_the_three_parts_of_a_target_are_taken_for_one_version(asked: list[Any]) -> None:
    with pytest.warns(DeprecationWarning, match="give target='openvino-fp16_static-64x96' instead") as warned:
        segship.export("c.py", "w.pth", "out", "openvino", "static-64x96", precision="fp16")
    assert warned[0].filename == __file__
    assert str(asked[0][2].target) == "openvino-fp16_static-64x96"
    with pytest.warns(DeprecationWarning, match="give target='onnxruntime_static' instead"):
        segship.export("c.py", "w.pth", "out", shape="static")
    assert asked[1][2].target.shape == Shape(own=True)


def test_progress_had_another_name(asked: list[Any]) -> None:
    with pytest.warns(DeprecationWarning, match="on_stage is called progress now"):
        segship.export("c.py", "w.pth", "out", on_stage=print)
    assert asked[0][2].progress is print
    with pytest.raises(InputError, match="on_stage is the old name of progress"):
        segship.export("c.py", "w.pth", "out", on_stage=print, progress=print)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "openvino_dynamic", "backend": "openvino"}, "leave backend out"),
        ({"target": "openvino_dynamic", "precision": "int8", "shape": "static"}, "leave precision, shape out"),
        (
            {"int8": segship.Int8(calibration="x")},
            "int8 is for int8 targets, and the target is onnxruntime_dynamic",
        ),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], message: str, asked: list[Any]) -> None:
    with pytest.raises(InputError, match=message):
        segship.export("c.py", "w.pth", "out", **options)
    assert asked == []


def test_a_folder_is_asked_for(asked: list[Any]) -> None:
    with pytest.raises(InputError, match="export needs a folder to write to"):
        segship.export(segship.Source("c.py"))  # type: ignore[call-overload]
    assert asked == []
