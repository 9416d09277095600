"""A data set shared out by Ray."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from segship.core.errors import MissingExtraError
from segship.datasets.label_encoding import LabelEncoding
from segship.datasets.samples import Sample
from segship.evaluation import Job, NetworkFiles
from segship.evaluation.cluster import _engines, _Same, count_on_ray
from segship.evaluation.counter import Counter
from support.commands import segship


def job_of(package: Path, samples: tuple[Sample, ...] = ()) -> Job:
    return Job(NetworkFiles(package), Counter(LabelEncoding(4), 4), samples)


def test_without_ray_the_pip_line_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "segship\[ray\]"'):
        count_on_ray(job_of(package), [], "local", lambda *_: None)


def test_a_process_opens_the_networks_of_its_chunks_once(package: Path, samples: tuple[Sample, ...]) -> None:
    first = _engines(_Same(job_of(package)))
    assert _engines(_Same(job_of(package, samples))) is first
    _engines.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install "segship[ray]"')
def test_a_cluster_counts_what_one_process_counts(package: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"data/images/{number}.png"), random.integers(0, 256, (40, 60, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"data/labels/{number}.png"), random.integers(0, 4, (40, 60), np.uint8))
    found = []
    for options in ((), ("--ray", "local")):
        done = segship("evaluate", package, "--dataset", "folder", tmp_path / "data", *options, "--json", "-")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout)["confusion_matrix"])
    assert found[0] == found[1]
