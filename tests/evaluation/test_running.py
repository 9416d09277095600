"""Whole evaluations: a real package, several processes, interruptions."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segship import Segmentor
from segship.core.errors import BackendError, InputError
from segship.datasets.label_encoding import LabelEncoding
from segship.datasets.samples import Sample
from segship.evaluation import Job, NetworkFiles, evaluate_job, workers
from segship.evaluation.counter import Counter
from segship.evaluation.state import Ledger, ledger_path
from segship.evaluation.tally import Tally
from support.trained import META

CLASSES = META["classes"]


@pytest.fixture
def job(package: Path, tmp_path: Path) -> Job:
    random = np.random.default_rng(0)
    samples = []
    for number in range(20):
        image, labels = tmp_path / f"{number}.png", tmp_path / f"{number}_gt.png"
        cv2.imwrite(str(image), random.integers(0, 256, (40, 60, 3), np.uint8))
        cv2.imwrite(str(labels), random.integers(0, 4, (40, 60), np.uint8))
        samples.append(Sample(str(number), image, labels))
    return Job(NetworkFiles(package, threads=1), Counter(LabelEncoding(4), 4), tuple(samples))


def test_processes_count_what_one_process_counts(job: Job) -> None:
    alone = evaluate_job(job, CLASSES)
    shared_out = evaluate_job(job, CLASSES, workers=2)
    assert np.array_equal(alone.matrix, shared_out.matrix)
    assert alone.matrix.sum() == 20 * 40 * 60
    labels = Segmentor(job.network.path)(job.samples[0].image)
    only = evaluate_job(replace(job, samples=job.samples[:1]), CLASSES)
    assert only.matrix.sum(0).tolist() == np.bincount(labels.ravel(), minlength=4).tolist()


def test_a_process_that_dies_changes_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHUNK", 4)
    alone = evaluate_job(job, CLASSES)
    killed: list[int] = []

    def kill(done: int, _every: int) -> None:
        if not killed and done < 16:
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid or 0)
            victim.kill()

    assert np.array_equal(evaluate_job(job, CLASSES, workers=2, progress=kill).matrix, alone.matrix)
    assert killed


def test_samples_on_which_every_process_dies_are_named(job: Job) -> None:
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.is_set():
            for child in multiprocessing.active_children():
                child.kill()
            time.sleep(0.02)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(BackendError, match=r"3 processes died \(exit status -9\) on the samples 1 to 8"):
            evaluate_job(replace(job, samples=job.samples[:8]), CLASSES, workers=2)
    finally:
        stop.set()
        killer.join()


def test_errors_of_a_process_are_told(job: Job, tmp_path: Path) -> None:
    broken = replace(job, network=NetworkFiles(tmp_path / "nothing"))
    with pytest.raises(Exception, match="not a package") as caught:
        workers.count_in_processes(broken, range(4), 2, lambda *_: None)
    assert not isinstance(caught.value, KeyError)


def test_an_interrupted_run_is_resumed_with_the_same_result(job: Job, cache: Path) -> None:
    whole = evaluate_job(job, CLASSES)
    assert not list(cache.rglob("*.npz"))

    def interrupt(done: int, _every: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_job(job, CLASSES, progress=interrupt)
    assert len(list(cache.rglob("*.npz"))) == 1
    told: list[int] = []
    again = evaluate_job(job, CLASSES, resume=True, progress=lambda done, _: told.append(done))
    assert again.resumed >= 7
    assert told[0] == again.resumed
    assert np.array_equal(again.matrix, whole.matrix)
    assert again.images == 20
    assert not list(cache.rglob("*.npz"))


def test_counts_of_another_evaluation_are_not_taken(job: Job) -> None:
    other = replace(job, counter=replace(job.counter, encoding=LabelEncoding(4, reduce_zero_label=True)))
    assert ledger_path(job.identity()) != ledger_path(other.identity())
    assert ledger_path(job.identity()) != ledger_path(replace(job, samples=job.samples[1:]).identity())


def test_a_damaged_ledger_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.npz"
    for content in (b"", b"damaged", b"PK\x03\x04damaged"):
        path.write_bytes(content)
        assert not Ledger(Tally.empty(2), 3, path).resume()
    ledger = Ledger(Tally.empty(2), 3, path)
    one = Tally.empty(2)
    one.matrix[0, 1], one.images = 5, 1
    one.blame("refused", 2, "why")
    ledger.add([0, 2], one)
    ledger.save()
    back = Ledger(Tally.empty(2), 3, path)
    assert back.resume()
    assert back.left() == [1]
    assert back.tally.matrix.tolist() == [[0, 5], [0, 0]]
    assert back.tally.problems == one.problems
    assert not Ledger(Tally.empty(2), 4, path).resume()
    assert not Ledger(Tally.empty(3), 3, path).resume()


def test_a_folder_that_cannot_be_written_does_not_stop_the_count(job: Job, cache: Path) -> None:
    cache.write_text("a file where the cache should be")
    assert evaluate_job(job, CLASSES).images == 20


def test_config_and_checkpoint_are_evaluated_as_their_package_is(job: Job, trained: tuple[Path, Path]) -> None:
    eager = replace(job, network=NetworkFiles(*trained, threads=1))
    assert eager.network.spec() == job.network.spec()
    first, second = evaluate_job(eager, CLASSES).matrix, evaluate_job(job, CLASSES).matrix
    assert np.abs(first - second).sum() <= 2e-4 * first.sum()


def test_a_config_alone_is_not_enough(trained: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="after a config comes its checkpoint"):
        NetworkFiles(trained[0]).open()
    with pytest.raises(InputError, match="evaluated on the cpu, not on cuda"):
        NetworkFiles(*trained, device="cuda").open()


def test_one_engine_is_shared_by_what_keeps_the_processors_busy(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segship.evaluation import network

    monkeypatch.setattr(network, "processors", lambda: 2)
    first, second = NetworkFiles(package).open()
    assert first is second
    assert len(NetworkFiles(package, threads=2).open()) == 1
    assert len(NetworkFiles(package).open(shares=2)) == 1
    monkeypatch.setattr(network, "processors", lambda: 64)
    assert len(NetworkFiles(package, threads=1).open()) == 16
    assert len(NetworkFiles(package, threads=8).open()) == 8
