from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

from segship.core.errors import BackendError
from segship.core.sessions import OpenSession, Pool


class Weights:
    """What an engine holds in memory."""

    def __call__(self, feeds: dict[str, Any]) -> dict[str, Any]:
        return {"logits": feeds["image"]}


def test_a_closed_session_is_refused_in_a_plain_sentence() -> None:
    session = OpenSession("ONNX Runtime", Weights())
    assert session.run({"image": 1}) == {"logits": 1}
    session.close()
    with pytest.raises(BackendError, match="the session of ONNX Runtime is closed: open the package again"):
        session.run({"image": 1})


def test_closing_frees_what_the_engine_holds() -> None:
    weights = Weights()
    held = weakref.ref(weights)
    session = OpenSession("x", weights)
    del weights
    gc.collect()
    assert held() is not None
    session.close()
    gc.collect()
    assert held() is None


def test_what_python_does_not_free_is_released_once() -> None:
    released: list[int] = []
    with OpenSession("x", Weights(), lambda: released.append(1)) as session:
        assert not released
    session.close()
    assert released == [1]


def test_a_run_under_way_ends_although_the_session_is_closed() -> None:
    begun, closed = threading.Event(), threading.Event()

    def run(feeds: Any) -> Any:
        begun.set()
        assert closed.wait(10)
        return feeds

    session, found = OpenSession("x", run), []
    thread = threading.Thread(target=lambda: found.append(session.run({"image": 7})))
    thread.start()
    assert begun.wait(10)
    session.close()
    closed.set()
    thread.join(10)
    assert found == [{"image": 7}]


@pytest.mark.parametrize("most", [1, 3])
def test_a_state_has_one_run_at_a_time_and_there_are_no_more_than_asked_for(most: int) -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    pool, clashes = Pool(make, most), []

    def work() -> None:
        for _ in range(20):
            with pool.lend() as state:
                state.append(1)
                time.sleep(0.0002)
                if len(state) != 1:
                    clashes.append(state)
                state.clear()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes
    assert 1 <= len(made) <= most


def test_a_run_that_fails_gives_its_state_back() -> None:
    pool = Pool(list)
    with pytest.raises(ZeroDivisionError), pool.lend():
        raise ZeroDivisionError
    with pool.lend() as state:
        assert state == []
