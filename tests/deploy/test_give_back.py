from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segship.core.artifacts import Engine, Graph, Session, TensorInfo
from segship.core.target import Target
from segship.deploy import give_back
from segship.deploy.give_back import GivingBack

IMAGE = np.zeros((1, 3, 4, 4), np.float32)
COST = {"slow": (3.0, 1.0), "quick": (1.0, 4.0), "even": (2.0, 2.0)}  # milliseconds: reduced, in floating point


class Clock:
    """Time that runs only while a session does."""

    now = 0.0

    @staticmethod
    def others() -> float:
        """How much longer everything takes beside other programs."""
        return 1.0

    def perf_counter(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Timed(Session):
    def __init__(self, clock: Clock, milliseconds: float, error: float) -> None:
        self._clock, self._milliseconds, self._error = clock, milliseconds, error

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        del feeds
        self._clock.now += self._milliseconds * self._clock.others() / 1000
        return {"logits": np.full((1, 2, 4, 4), self._error, np.float32)}


class Pretended:
    """Three layers whose times are known; it is its own engine."""

    layers = ("slow", "quick", "even")
    kinds = {name: f"Conv of the {name} kind" for name in layers}

    def __init__(self, damage: Sequence[tuple[str, float]] = ()) -> None:
        self.damage = list(damage)
        self.built: list[tuple[str, ...]] = []

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        del finish
        self.built.append(kept)
        image = TensorInfo(name="image", dtype="float32", shape=(1, 3, 4, 4))
        logits = TensorInfo(name="logits", dtype="float32", shape=(1, 2, 4, 4))
        return Engine(directory, (), (image,), (logits,), {"kept": kept})

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> list[tuple[str, float]]:
        del inputs, progress
        return self.damage


class Backend:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.wrong: set[tuple[str, ...]] = set()  # choices of layers that it computes wrongly

    def open(self, engine: Engine) -> Timed:
        kept = engine.options["kept"]
        error = 1.0 if kept in self.wrong else 0.1 * (len(COST) - len(kept))
        return Timed(self._clock, sum(COST[name][name in kept] for name in COST), error)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(give_back, "time", made)
    return made


@pytest.fixture(autouse=True)
def backend(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Backend:
    made = Backend(clock)
    monkeypatch.setattr(give_back, "find_backend", lambda _name: made)
    return made


def giving(reduced: Pretended, folder: Path, needed: set[str]) -> GivingBack[tuple[str, ...]]:
    def measure(engine: Engine, _session: Session) -> tuple[tuple[str, ...], list[str]]:
        kept = engine.options["kept"]
        return kept, [] if needed <= set(kept) else ["too wrong"]

    return GivingBack(
        reduced, Target.parse("onnxruntime-int8_dynamic"), folder, lambda graph: graph, measure, lambda _: None
    )


def test_layers_that_are_slower_stay_in_floating_point(tmp_path: Path, clock: Clock) -> None:
    reduced = Pretended()
    made = giving(reduced, tmp_path, set())
    unpaid, worth = made.leave_unpaid(IMAGE, 120)
    assert unpaid == ("slow",)
    assert worth == pytest.approx((1 + 1 + 2) / (1 + 4 + 2))
    kept, result, failed = made.search(list)
    assert (kept, result, failed) == ((), ("slow",), ())
    made.build((), tmp_path, lambda graph: graph)
    assert reduced.built[-1] == ("slow",)
    assert clock.now > 0


def test_beside_other_programs_no_layer_is_taken_for_slower_that_is_quicker(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run takes one to six times as long as alone, at random."""
    chosen = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        monkeypatch.setattr(clock, "others", lambda rng=rng: rng.uniform(1, 6))
        chosen.append(giving(Pretended(), tmp_path, set()).leave_unpaid(IMAGE, 120)[0])
    assert not any("quick" in unpaid for unpaid in chosen)
    assert sum("even" in unpaid for unpaid in chosen) < 10


def test_what_the_engine_computes_wrongly_so_is_not_left_in_floating_point(tmp_path: Path, backend: Backend) -> None:
    backend.wrong = {("slow",)}
    made = giving(Pretended(), tmp_path, set())
    unpaid, worth = made.leave_unpaid(IMAGE, 120)
    assert unpaid == ()
    assert worth == pytest.approx((3 + 1 + 2) / (1 + 4 + 2))


def test_of_two_layers_the_one_that_saves_less_time_is_given_back_first(tmp_path: Path, clock: Clock) -> None:
    made = giving(Pretended([("quick", 0.5), ("even", 0.4), ("slow", 0.1)]), tmp_path, {"even"})
    made.leave_unpaid(IMAGE, 120)
    kept, _, failed = made.search(list)
    assert (kept, failed) == (("even",), ())
    del clock


def test_timing_that_would_not_end_in_time_is_not_begun(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_back, "_AT_ONCE", 1)
    one_by_one = []
    for longest in (1e-9, 0.12, 120):  # a kind takes about 80 milliseconds
        reduced = Pretended()
        made = giving(reduced, tmp_path, set())
        made.leave_unpaid(IMAGE, longest)
        one_by_one.append(len(reduced.built))
    assert one_by_one[0] == one_by_one[1] < one_by_one[2]
    assert clock.now > 0


def test_without_times_the_damage_alone_decides(tmp_path: Path, clock: Clock) -> None:
    kept, _, _ = giving(Pretended([("quick", 0.5), ("even", 0.4), ("slow", 0.1)]), tmp_path, {"even"}).search(list)
    assert kept == ("quick", "even")
    del clock


def test_what_nothing_passes_is_told(tmp_path: Path, clock: Clock) -> None:
    kept, _, failed = giving(Pretended([("quick", 0.5)]), tmp_path, {"?"}).search(list)
    assert (kept, failed) == (("quick",), ("too wrong",))
    assert giving(Pretended(), tmp_path, set()).slowdown(("quick",), IMAGE) == pytest.approx(9 / 6)
    del clock
