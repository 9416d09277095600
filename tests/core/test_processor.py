from __future__ import annotations

import time
from pathlib import Path

import pytest

from segship.core import processor

TICKS = 100


def line(user: float, *, idle: float = 0.0, steal: float = 0.0) -> str:
    times = (user, 0, 0, idle, 0, 0, 0, steal, 0, 0)
    return "cpu  " + " ".join(str(round(TICKS * each)) for each in times) + "\ncpu0 1 2 3\n"


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "stat"
    file.write_text(line(1000, idle=50))
    monkeypatch.setattr(processor, "_STAT", file)
    monkeypatch.setattr(processor.os, "sysconf", lambda _: TICKS)
    return file


def test_what_others_take_is_measured_while_this_process_rests(stat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        stat.write_text(line(1000 + 1.5 * seconds, idle=50 + seconds, steal=0.5 * seconds))
        clock[0] += seconds

    clock = [0.0]
    monkeypatch.setattr(processor.time, "sleep", sleep)
    monkeypatch.setattr(processor.time, "monotonic", lambda: clock[0])
    assert processor.occupied(10) == pytest.approx(2.0, abs=0.05)


def test_nobody_else_is_nothing(stat: Path) -> None:
    begin = time.monotonic()
    assert processor.occupied(0.05) == pytest.approx(0, abs=1e-9)
    assert time.monotonic() - begin >= 0.05
    del stat


def test_a_system_that_does_not_tell_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_STAT", tmp_path / "missing")
    assert processor.occupied() is None
