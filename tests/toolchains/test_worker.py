"""Work in a toolchain's environment, tried in this Python's own."""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from segship.core.errors import BackendError, UnsupportedError
from segship.toolchains.environment import Environment, Toolchain
from segship.toolchains.worker import WorkerProcess, call

WORKER = """
import os, sys, time

def add(first, second):
    print("this is no answer")
    return {"sum": int(first) + int(second), "isolated": sys.flags.isolated, "steered": "PYTHONPATH" in os.environ}

def fail():
    raise ValueError("no\\nway")

def die():
    print("something broke", file=sys.stderr)
    os._exit(3)

def sleep():
    time.sleep(60)

def times(factor):
    def run(array):
        print("this is no answer")
        if array.size == 0:
            raise ValueError("it is empty")
        if array.size == 1:
            time.sleep(60)
        if array.size == 2:
            die()
        return array * float(factor)
    return run
"""


@dataclasses.dataclass(frozen=True)
class Here(Toolchain):
    """A toolchain whose environment is that of the tests."""

    def environment(self) -> Environment:
        found = Environment(Path(sys.prefix), {}, {})
        assert found.python.exists()
        return found


HERE = Here(name="here", title="Converter", purpose="x", size="0", pythons=((3, 9), (3, 99)), packages={"x": "1"})


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path / "worker.py"


def process(worker: Path, factor: float = 2, **options: float) -> WorkerProcess:
    return WorkerProcess(HERE, worker, "times", (factor,), folder=worker.parent, **options)


def test_a_function_is_called_with_strings_and_returns_json(worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    found = call(HERE, worker, "add", (2, 3), folder=worker.parent)
    assert found == {"sum": 5, "isolated": 1, "steered": False}


def test_how_a_function_fails_is_told(worker: Path) -> None:
    with pytest.raises(BackendError, match="Converter fails: ValueError: no way"):
        call(HERE, worker, "fail", (), folder=worker.parent)
    with pytest.raises(BackendError, match="Converter has ended with status 3: something broke"):
        call(HERE, worker, "die", (), folder=worker.parent)
    with pytest.raises(BackendError, match="has not finished within 1 seconds"):
        call(HERE, worker, "sleep", (), folder=worker.parent, seconds=1)


def test_a_missing_environment_is_told_before_anything_runs(worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Toolchain(name="away", title="Away", purpose="x", size="1 GB", pythons=HERE.pythons, packages={"x": "1"})
    monkeypatch.setenv("SEGSHIP_AWAY_ENV", str(worker.parent / "none"))
    with pytest.raises(BackendError, match=r"segship doctor --setup away` \(1 GB\)"):
        WorkerProcess(away, worker, "times", (2,), folder=worker.parent)


def test_arrays_are_answered_until_the_process_is_closed(worker: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with process(worker) as run:
        for _ in range(3):
            np.testing.assert_array_equal(run(array[:, ::2]), array[:, ::2] * 2)
        first = run._process
        with pytest.raises(UnsupportedError, match=r"on an input of \(0,\): ValueError: it is empty"):
            run(array[0, :0])
        np.testing.assert_array_equal(run(array), array * 2)
        assert run._process is first
    assert first is not None
    assert first.poll() == 0


def test_threads_get_their_own_answers(worker: Path) -> None:
    with process(worker, 3) as run, ThreadPoolExecutor(4) as pool:
        arrays = [np.full((5, 5), number, np.float32) for number in range(40)]
        for array, found in zip(arrays, pool.map(run, arrays), strict=True):
            np.testing.assert_array_equal(found, array * 3)


def test_a_process_that_dies_or_hangs_is_an_error_with_its_last_words(worker: Path) -> None:
    with process(worker) as run, pytest.raises(BackendError, match=r"has ended with status 3: .*something broke"):
        run(np.zeros(2, np.float32))
    with process(worker, seconds=3) as run:
        with pytest.raises(BackendError, match="has not answered within 3 seconds"):
            run(np.zeros(1, np.float32))
        run.close()
        assert run(np.ones(3, np.float32)).sum() == 6


def test_a_process_ends_with_its_object(worker: Path) -> None:
    run = process(worker)
    run(np.zeros(3, np.float32))
    child = run._process
    assert child is not None
    del run
    gc.collect()
    assert child.poll() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
