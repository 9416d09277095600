"""`segship.evaluate`: what it takes as a network and as data, and what it refuses."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from segship.core.errors import InputError
from segship.datasets import find_layout
from segship.evaluation import EvalOptions, NetworkFiles, OutputFolders

from .conftest import SPEC, Bands


@pytest.fixture
def labelled(package: Path, tmp_path: Path) -> Path:
    """Three images, and the package's own masks as their label maps."""
    random = np.random.default_rng(1)
    (tmp_path / "own" / "images").mkdir(parents=True)
    for number in range(3):
        cells = random.integers(0, 256, (6, 8, 3), np.uint8)
        picture = cv2.resize(cells, (64, 48), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"own/images/{number}.png"), picture)
    segship.predict(package, tmp_path / "own" / "images", to=tmp_path / "own" / "labels")
    return tmp_path / "own"


def test_package_path_source_and_open_network_have_the_same_figures(
    trained: tuple[Path, Path], package: Path, labelled: Path
) -> None:
    data = segship.Data.folders(labelled / "images", labelled / "labels")
    with segship.Segmentor(package) as opened:
        given: list[Any] = [package, str(package), segship.Package(package, opened.manifest), opened]
        for network in given:
            found = segship.evaluate(network, data)
            assert (found.images, found.scores.aAcc) == (3, 100)
    eager = segship.evaluate(segship.Source(*trained), data, against=package)
    assert eager.against is not None
    assert eager.against.scores.aAcc == 100
    assert eager.scores.aAcc > 99.9


def test_a_sources_options_count(trained: tuple[Path, Path], labelled: Path) -> None:
    data = segship.Data.folders(labelled / "images", labelled / "labels", limit=1)
    plain = segship.evaluate(segship.Source(*trained), data)
    other = segship.Source(*trained, cfg_options=["model.data_preprocessor.bgr_to_rgb=False"])
    assert segship.evaluate(other, data).scores.aAcc < plain.scores.aAcc
    files = [NetworkFiles.of(source) for source in (segship.Source(*trained), other)]
    assert files[0].identity() == NetworkFiles(*trained).identity()
    assert files[0].identity() != files[1].identity()
    assert pickle.loads(pickle.dumps(files[1])) == files[1]  # other processes take part  # noqa: S301


def test_data_is_told_before_a_network_is_known(data: Path) -> None:
    folders = segship.Data.folders(data / "images", data / "labels", limit=2)
    assert [sample.name for sample in folders.samples_for(SPEC).samples] == ["x/0", "x/1"]
    pairs = segship.Data.pairs([(data / "images/x/0.png", data / "labels/x/0.png")], reduce_zero_label=True)
    found = pairs.samples_for(SPEC)
    assert [(sample.name, sample.labels) for sample in found.samples] == [("0", data / "labels/x/0.png")]
    assert found.encoding.reduce_zero_label
    assert (pairs.labelled, segship.Data.unlabelled(data / "images").labelled) == (True, False)
    names = [str(segship.Data.layout("camvid", "d", "test")), str(segship.Data.layout("folder", "d")), str(folders)]
    assert names == ["camvid test", "folder", str(data / "images")]


def test_a_data_sets_own_conventions_are_kept(tmp_path: Path) -> None:
    layout = find_layout("ade20k")
    spec = SPEC.model_copy(update={"classes": layout.classes, "palette": layout.palette})
    split = layout.splits["val"]
    for folder, suffix in ((split.images, ".jpg"), (split.labels, ".png")):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / f"a{suffix}"), np.zeros((4, 4, 3), np.uint8))
    found = segship.Data.layout("ade20k", tmp_path).samples_for(spec)
    assert found.encoding.reduce_zero_label
    assert (
        not segship.Data.layout("ade20k", tmp_path, reduce_zero_label=False)
        .samples_for(spec)
        .encoding.reduce_zero_label
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "an opened network is evaluated as it is"),
        ({"workers": 2}, "an opened network is evaluated as it is"),
        ({"resume": True}, "an opened network is evaluated as it is"),
        ({"workers": 2, "ray": "local"}, "workers and ray"),
        ({"zero_is_ignore": True}, "Data has reduce_zero_label"),
        ({"outputs": OutputFolders(submission=True)}, r"predictions=FOLDER"),
        ({"options": EvalOptions(format_only=True)}, r"predictions=FOLDER"),
        ({"outputs": OutputFolders(Path("o"), submission=True), "boundary": True}, "counts nothing"),
        ({"outputs": OutputFolders(differences=Path("d"))}, "shows where two networks differ"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segship.evaluate(Bands(), segship.Data.folders(data / "images", data / "labels"), **options)


def test_label_maps_are_asked_for_and_needless_for_a_submission(data: Path, tmp_path: Path) -> None:
    images = segship.Data.unlabelled(data / "images")
    with pytest.raises(InputError, match="the data has no label maps"):
        segship.evaluate(Bands(), images)
    found = segship.evaluate(Bands(), images, outputs=OutputFolders(tmp_path / "out", submission=True))
    assert found.images == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png", "3.png"]


def test_differences_of_two_networks_are_drawn(data: Path, tmp_path: Path) -> None:
    folders = OutputFolders(differences=tmp_path / "differ")
    chosen = segship.Data.folders(data / "images", data / "labels")
    found = segship.evaluate(Bands(), chosen, against=Bands(3), outputs=folders)
    assert found.against is not None
    assert len(list((tmp_path / "differ").glob("*.jpg"))) == len(found.against.images) > 0


def test_predictions_are_written_with_an_opened_package_or_its_path(
    package: Path, labelled: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    with segship.Segmentor(package) as opened:
        by_opened = segship.predict(
            opened, labelled / "images", tmp_path / "a", progress=lambda *state: told.append(state)
        )
        with pytest.raises(InputError, match="runs as it was opened"):
            segship.predict(opened, labelled / "images", tmp_path / "a", device="cpu")
        opened(labelled / "images" / "0.png")  # it is still open
    by_path = segship.predict(package, [labelled / "images" / "1.png"], tmp_path / "b", scores=True)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [path.name for path in by_opened] == ["0.png", "1.png", "2.png"]
    assert by_path == [tmp_path / "b" / "1.png"]
    assert by_path[0].read_bytes() == by_opened[1].read_bytes()
    assert (tmp_path / "b" / "1_scores.npz").is_file()
