from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import segship
from segship.core.errors import InputError
from segship.core.manifest import read_manifest
from segship.deploy import tune as tuning
from segship.deploy.tune import Tuning, candidates, plot, search
from segship.deploy.tune.candidates import find_candidates, thread_choices
from segship.deploy.tune.journal import Journal
from segship.deploy.tune.measure import fastest
from segship.deploy.tune.result import Prefer, Timing, Tried, choose, pareto_front
from segship.sources import Source
from support.demo import ASSETS, CHECKPOINT, CONFIG, small_demo

DEMO = Source(CONFIG, CHECKPOINT)


def timed(milliseconds: float) -> Timing:
    return Timing(milliseconds, milliseconds, milliseconds, milliseconds / 100, 9)


def passed(name: str, milliseconds: float, change: float = 0.0, size: int = 100, memory: float = 50.0) -> Tried:
    times = {0: timed(milliseconds)}
    return Tried(name, "passed", size=size, mIoU=70 + change, change=change, times=times, memory=memory)


SLOW, FAST, SMALL = passed("slow", 100), passed("fast", 20, -0.4, 90), passed("small", 60, 0.2, 30)
WORSE = passed("worse", 110, -0.1, 200)


def test_the_front_holds_what_nothing_beats_in_every_respect() -> None:
    refused = replace(passed("refused", 1), state="refused")
    assert pareto_front([SLOW, WORSE, FAST, SMALL, refused]) == [FAST, SMALL, SLOW]
    assert pareto_front([SLOW, replace(SLOW, target="again", times={0: timed(101)})]) != []


def test_noise_beats_nobody() -> None:
    nearly = replace(SLOW, target="nearly", times={0: timed(99)}, memory=49.5)
    assert {one.target for one in pareto_front([SLOW, nearly])} == {"slow", "nearly"}


@pytest.mark.parametrize(("prefer", "target"), [("speed", "fast"), ("size", "small"), ("accuracy", "slow")])
def test_what_is_preferred_is_chosen(prefer: Prefer, target: str) -> None:
    assert choose([WORSE, SLOW, FAST, SMALL], prefer).target == target


def test_accuracy_is_the_fastest_of_those_that_are_as_good() -> None:
    quick = passed("quick", 50, 0.08)
    assert choose([SLOW, FAST, quick], "accuracy").target == "quick"


def test_nothing_to_choose_from_tells_every_reason() -> None:
    with pytest.raises(InputError, match="a: too wrong"):
        choose([Tried("a", "refused", "too wrong")], "speed")


def test_the_least_threads_that_are_as_fast_are_taken() -> None:
    assert fastest({1: timed(100), 2: timed(60), 4: timed(59)}) == 2


def test_threads_are_tried_up_to_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    from segship.backends import find_backend

    monkeypatch.setattr("segship.deploy.tune.candidates.processors", lambda: 6)
    assert thread_choices(find_backend("onnxruntime").INFO) == (1, 2, 4, 6)
    one_pool = replace(find_backend("onnxruntime").INFO, threads="process")
    assert thread_choices(one_pool) == (None,)


def test_candidates_come_cheapest_first_and_the_rest_has_a_reason() -> None:
    targets, out = find_candidates(DEMO.load(), engines=(), embed=(), trust=False)
    names = [str(target) for target in targets]
    assert names[0] == "onnxruntime_dynamic"
    dynamic = [target for target in targets if target.shape.static is None]
    assert targets[: len(dynamic)] == dynamic
    order = [("fp32", "int8", "bf16", "fp16").index(target.precision) for target in dynamic]
    assert order == sorted(order)
    assert "torch" in {one.target for one in out}  # its files are code
    assert all(one.reason for one in out)
    embedded, _ = find_candidates(DEMO.load(), engines=("onnxruntime",), embed=("pre", "post"), trust=False)
    assert {target.backend for target in embedded} == {"onnxruntime"}


def test_a_journal_goes_on_within_its_budget_and_only_with_the_same_settings(tmp_path: Path) -> None:
    settings = {"images": ["a"], "max_drop": 0.5}
    first = Journal(tmp_path / "j", settings, 100.0)
    first.resumed = 60.0
    first.add(FAST)
    again = Journal(tmp_path / "j", settings, 100.0)
    assert again.tried == {"fast": FAST}
    assert again.left <= 40
    other = Journal(tmp_path / "j", settings | {"max_drop": 1.0}, 100.0)
    assert (other.tried, other.resumed) == ({}, 0.0)
    again.save({"tried": []})
    assert Journal(tmp_path / "j", settings, 100.0).tried == {}  # it had ended


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        Journal(tmp_path, {}, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_plot_is_a_picture_of_what_was_timed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need segship[plots]")
    assert plot.draw([SLOW, FAST, Tried("x", "refused", "?")], tmp_path / "tune.svg", "title")
    assert (tmp_path / "tune.svg").read_text().lstrip().startswith("<?xml")
    assert not plot.draw([Tried("x", "refused", "?")], tmp_path / "other.svg", "title")


def test_tuning_wants_images_and_numbers_that_mean_something(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--calibration FOLDER"):
        segship.tune(DEMO, tmp_path / "out", calibration=None)
    with pytest.raises(InputError, match="budget is 0"):
        segship.tune(DEMO, tmp_path / "out", calibration=ASSETS / "images", budget=0)
    with pytest.raises(InputError, match="prefer is 'beauty'"):
        segship.tune(DEMO, tmp_path / "out", calibration=ASSETS / "images", prefer="beauty")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="leave precision out"):
        segship.export(DEMO.config, DEMO.checkpoint, tmp_path / "out", target="auto", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "occupied", lambda: 0.0)


def test_other_programs_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "processors", lambda: 4)
    monkeypatch.setattr(tuning, "occupied", lambda: 1.26)
    with pytest.warns(segship.SegshipWarning, match=r"keep 1\.3 of 4 processors at work"):
        assert tuning._tell_of_others() == 1.26
    for quiet in (0.4, None):
        monkeypatch.setattr(tuning, "occupied", lambda quiet=quiet: quiet)
        assert tuning._tell_of_others() == quiet


def run(tmp_path: Path, progress: Callable[[str, int, int], None] | None = None) -> Tuning:
    with pytest.warns(segship.SegshipWarning, match="calibrated on 2 images"):
        return segship.tune(
            Source(*small_demo(tmp_path)),
            tmp_path / "out",
            calibration=ASSETS / "images",
            labels=ASSETS / "labels",
            images=2,
            engines=["onnxruntime"],
            budget=600,
            progress=progress,
        )


@pytest.mark.slow
def test_what_was_interrupted_goes_on_and_ends_with_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_PRECISIONS", ("fp32", "fp16"))
    monkeypatch.setattr(search, "_QUICK", 0.0)
    monkeypatch.setattr(search, "_FINAL", 0.0)

    def interrupt(what: str, _done: int, _every: int) -> None:
        if what.startswith("onnxruntime-fp16_dynamic: building"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupt)
    assert not (tmp_path / "out").exists()
    built: list[str] = []
    found = run(tmp_path, lambda what, _done, _every: built.append(what))
    assert "onnxruntime_dynamic: building the ONNX Runtime engine" not in built
    assert found.finished
    assert {one.target for one in found.tried} == {
        f"onnxruntime{precision}_{shape}" for precision in ("", "-fp16") for shape in ("dynamic", "static-128x256")
    }
    manifest = read_manifest(tmp_path / "out")
    assert str(manifest.target) == found.chosen.target
    assert manifest.failures == ()
    record = json.loads((tmp_path / "out.tune" / "tune.json").read_text())
    assert record["chosen"] == found.chosen.target
    assert "processor" in record["settings"]
    assert sorted(path.name for path in (tmp_path / "out.tune").iterdir()) == ["tune.json", "tune.svg"]
    fast = min(one.timing.milliseconds for one in found.tried if one.timing and one.state == "passed")
    assert found.chosen.timing is not None
    assert found.chosen.timing.milliseconds == fast
