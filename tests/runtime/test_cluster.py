"""Images shared out by Ray, and images of object stores."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from scene_parts import write_network, write_raster
from segship.core.errors import InputError, MissingExtraError, SegshipError
from segship.runtime import Segmentor
from segship.runtime.cluster import Cluster, _work
from segship.runtime.object_store import find_objects, places_of
from segship.runtime.predict import predict_files
from segship.runtime.result_form import ResultForm
from segship.runtime.result_index import INDEX, begin_index
from segship.runtime.scene_files import SceneForm, write_scene
from segship.runtime.video_names import is_video
from support.commands import segship as command

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray is not installed: pip install "segship[ray]"'
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "photos" / "in").mkdir(parents=True)
    for number in range(3):
        folder = tmp_path / "photos" / ("in" if number else ".")
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (40, 60, 3), np.uint8))
    (tmp_path / "photos" / "cut.png").write_bytes((tmp_path / "photos" / "0.png").read_bytes()[:200])
    return tmp_path / "photos"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_ray_the_pip_line_is_told(
    exported: segship.Package, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "segship\[ray\]"'):
        segship.predict(exported.path, photos, tmp_path / "out", ray="local")


def test_what_a_process_of_the_cluster_does(exported: segship.Package, photos: Path, tmp_path: Path) -> None:
    import pickle
    from functools import partial

    with Segmentor(exported.path) as segmentor:
        identity = segmentor.identity
        predict_files(segmentor, [photos], tmp_path / "plain", ResultForm())
    opening = partial(Segmentor, exported.path, threads=1)
    opened = pickle.dumps((opening, identity))
    told = pickle.dumps((opened, tmp_path / "out", ResultForm()))
    done = _work(told, (photos / "0.png", "0"))
    assert isinstance(done, dict)
    assert done["files"] == {"labels": "0.png", "overlay": "0_overlay.jpg"}
    for name in done["files"].values():
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    cut = _work(told, (photos / "cut.png", "cut"))
    assert not isinstance(cut, dict)
    assert (cut.of_the_image, str(photos / "cut.png") in cut.reason) == (True, True)
    other = _work(
        pickle.dumps((pickle.dumps((opening, "another")), tmp_path / "out", ResultForm())), (photos / "0.png", "0")
    )
    assert not isinstance(other, dict)
    assert (other.of_the_image, "not the package" in other.reason) == (False, True)


class Here:
    """What is asked of Ray, done at once in this process."""

    exceptions = SimpleNamespace(WorkerCrashedError=(), NodeDiedError=(), OutOfMemoryError=())

    @staticmethod
    def remote(**_: Any) -> Any:
        return lambda function: SimpleNamespace(remote=function)

    @staticmethod
    def cluster_resources() -> dict[str, float]:
        return {"CPU": 2}

    @staticmethod
    def get(answer: object) -> object:
        return answer


def test_a_cluster_may_become_smaller(
    exported: segship.Package, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segship.runtime.cluster._LOOK", 1)
    sizes = iter([{"CPU": 3}, {}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}])
    monkeypatch.setattr(Here, "cluster_resources", lambda: next(sizes))
    items = [(photos / "0.png", f"{number}") for number in range(5)]
    with Segmentor(exported.path) as segmentor:
        made = [wait()["height"] for wait in Cluster(Here, segmentor).results(tmp_path, ResultForm(), items)]
    assert made == [40] * 5


def test_parts_of_a_raster_are_its_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    monkeypatch.setattr("segship.vision.mosaic._WHOLE", 1000)
    monkeypatch.setattr("segship.vision.mosaic._SIDE", 64)
    network = write_network(tmp_path / "network", slide={"crop": [48, 48], "stride": [32, 32]})
    path = write_raster(tmp_path / "a.tif", (700, 150))
    form = SceneForm(scores=True, confidence="margin", reject=0.3)
    with Segmentor(segship.export(network, tmp_path / "package").path) as segmentor, segmentor.scene(path) as scene:
        shared = Cluster(Here, segmentor)
        write_scene(scene, tmp_path / "plain", "a", form, {})
        told = write_scene(scene, tmp_path / "out", "a", form, {}, share=shared.blocks)
        assert scene.count_blocks() == 33
        (tmp_path / "part").mkdir()
        counted = [blocks for blocks, _ in shared.blocks(scene, form, tmp_path / "part", 4)]
        with pytest.raises(InputError, match="not seen by all machines"):
            list(shared.blocks(scene, form, tmp_path / "none", 0))
    assert counted == [5, 9, 9, 6]  # three lines of three each, from the middle of the second line on
    assert told["windows_run"] > scene.windows  # the windows at the edges of parts are run twice
    for kind in form.files("a").values():
        found, expected = (rasterio.open(tmp_path / run / kind).read() for run in ("out", "plain"))
        assert np.array_equal(found, expected)


def test_the_index_is_not_emptied_by_a_second_beginning(tmp_path: Path) -> None:
    begin_index(tmp_path / "out")
    (tmp_path / "out" / INDEX).write_text("line\n")
    begin_index(tmp_path / "out")
    assert (tmp_path / "out" / INDEX).read_text() == "line\n"


def test_objects_give_what_files_give(exported: segship.Package, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    (photos / "notes.md").write_text("text")
    (photos / ".hidden.png").write_text("text")
    with Segmentor(exported.path) as segmentor:
        plain = predict_files(segmentor, [photos], tmp_path / "plain", ResultForm())
        found = predict_files(segmentor, [photos.as_uri()], tmp_path / "out", ResultForm())
        again = predict_files(segmentor, [photos.as_uri()], tmp_path / "out", ResultForm(), resume=True)
    assert (again.resumed, len(found.masks), found.left_out) == (3, 3, {".md": 1})
    assert [str(path) for path in found.failed] == [(photos / "cut.png").as_uri()]
    assert [path.name for path in found.masks] == [path.name for path in plain.masks]
    assert contents(tmp_path / "out").keys() == contents(tmp_path / "plain").keys()
    for name, data in contents(tmp_path / "plain").items():
        if name != INDEX:
            assert contents(tmp_path / "out")[name] == data
    with pytest.raises(InputError, match=r"cannot read .*/none"):
        find_objects((photos / "none").as_uri())
    with pytest.raises(InputError, match="cannot read nowhere://x"):
        find_objects("nowhere://x")


def test_a_list_names_images_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "images.txt").write_text("a.png\n\ns3://bucket/folder\n")
    assert places_of([tmp_path / "images.txt", "b"]) == [Path("a.png"), "s3://bucket/folder", Path("b")]
    (tmp_path / "images.txt").write_text("\n")
    with pytest.raises(InputError, match="names no image"):
        places_of([tmp_path / "images.txt"])


def test_addresses_of_streams_and_of_stores() -> None:
    assert all(map(is_video, ["http://camera/live", "rtsp://host/1", "s3://bucket/a.mp4"]))
    assert not any(map(is_video, ["s3://bucket/folder", "https://host/a.jpg", "file:///photos"]))


@pytest.mark.slow
@needs_ray
def test_a_process_that_is_killed_loses_and_repeats_nothing(
    exported: segship.Package, photos: Path, tmp_path: Path
) -> None:
    for number in range(60):
        shutil.copy(photos / "0.png", photos / f"more_{number:02}.png")
    plain = command("predict", exported.path, photos, "--to", tmp_path / "plain")
    run = [sys.executable, "-m", "segship", "predict", str(exported.path), str(photos), "--ray", "local"]
    with subprocess.Popen([*run, "--to", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True) as process:
        killed = _kill_a_worker(process.pid)
        told = process.stderr.read() if process.stderr else ""
    assert (plain.returncode, process.returncode, killed) == (1, 1, True), told
    assert {name: data for name, data in contents(tmp_path / "out").items() if ".segship-" not in name} == contents(
        tmp_path / "plain"
    )


@needs_ray
def test_an_address_where_nothing_answers(exported: segship.Package, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SegshipError, match="no Ray cluster answers at 'nonsense:port'"):
        segship.predict(exported.path, photos, tmp_path / "out", ray="nonsense:port")


def _kill_a_worker(driver: int) -> bool:
    """Kill the first process that works on an image of the run of ``driver``, all of which listens here alone."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b"ray::_work" in (path / "cmdline").read_bytes() and driver in _parents(path.name):
                    heard = _heard_elsewhere(driver)
                    assert not heard, heard
                    os.kill(int(path.name), signal.SIGKILL)
                    return True
        time.sleep(0.01)
    return False


def _heard_elsewhere(driver: int) -> list[str]:
    """Addresses, in hexadecimal digits, that processes below ``driver`` listen at and that others reach."""
    sockets = dict[str, str]()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, state, inode = (line.split()[column] for column in (1, 3, 9))
            if state == "0A" and not address.startswith(("0100007F", "0000000000000000FFFF00000100007F")):
                sockets[f"socket:[{inode}]"] = address
    found = []
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            name = str(file.readlink())
            if name in sockets and driver in _parents(file.parts[2]):
                found.append(sockets[name])
    return found


def _parents(process: str) -> list[int]:
    found = []
    while process not in {"0", "1"}:
        process = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[1]
        found.append(int(process))
    return found
