"""``--ray`` against what it is made of, with real Ray (extras ``ray`` and ``geo``): one line for each part.

::

    python benchmarks/cluster.py [efficiency] [raster] [node] [replicas]

- ``efficiency``: images a second of two processes of a cluster that is up, against two plain ones that each do half.
- ``raster``: a raster by windows, in parts on two processes, against the same raster alone; and the pixels compared.
- ``node``: two machines, which are two of Ray's nodes on this one; one is killed while images are made.
- ``replicas``: how many replicas of ``segship serve --ray`` there are while clients ask, and after they have gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import segship
from segship.core.cluster import connected
from segship.core.files import DEMO
from segship.runtime.cluster import Cluster
from segship.runtime.predict import predict_files
from segship.runtime.result_form import ResultForm
from segship.runtime.scene_files import SceneForm, write_scene

sys.path.append(str(Path(__file__).parents[1] / "dev"))

from scene_parts import write_network, write_raster

_IMAGES, _SIDE, _ROUNDS, _WATCHED = 240, 8000, 3, 150
_FORM = ResultForm(overlay=False)


def _package(folder: Path) -> Path:
    config, checkpoint = DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth"
    return segship.export(config, checkpoint, folder / "package", target="onnxruntime_dynamic").path


def _photos(folder: Path, count: int) -> list[Path]:
    scenes = sorted((DEMO / "images").glob("*.jpg"))
    folder.mkdir()
    return [Path(shutil.copy(scenes[number % len(scenes)], folder / f"{number:04}.jpg")) for number in range(count)]


def measure_efficiency(folder: Path) -> dict[str, Any]:
    """Both sides are open and warm before the clock starts, and take turns."""
    package, photos = _package(folder), _photos(folder / "photos", _IMAGES)
    half = _IMAGES // 2
    shares, seconds = (photos[:half], photos[half:]), dict[str, list[float]](plain=[], ray=[])
    program = Path(__file__).parent / "cluster_half.py"
    with contextlib.ExitStack() as opened:
        halves = []
        for number, share in enumerate(shares):
            (folder / f"list-{number}.txt").write_text("\n".join(map(str, share)))
            words = [sys.executable, str(program), str(package), str(folder / f"list-{number}.txt"), str(folder)]
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            halves.append(opened.enter_context(process))
        ray = opened.enter_context(connected("local", "This"))
        segmentor = opened.enter_context(segship.Segmentor(package))
        cluster = Cluster(ray, segmentor)
        for number in range(_ROUNDS + 1):  # the first is not counted
            begin = time.monotonic()
            for one in halves:
                one.stdin.write(f"{number}\n")  # type: ignore[union-attr]
                one.stdin.flush()  # type: ignore[union-attr]
            for one in halves:
                one.stdout.readline()  # type: ignore[union-attr]
            middle = time.monotonic()
            to = folder / f"ray-{number}"
            for wait in cluster.results(to, _FORM, [(photo, photo.stem) for photo in photos]):
                wait()
            if number:
                seconds["plain"].append(middle - begin)
                seconds["ray"].append(time.monotonic() - middle)
        for one in halves:
            one.stdin.close()  # type: ignore[union-attr]
    shares_of = [plain / shared for plain, shared in zip(seconds["plain"], seconds["ray"], strict=True)]
    return {"images": _IMAGES, "seconds": seconds, "efficiency": sorted(shares_of)[len(shares_of) // 2]}


def measure_raster(folder: Path) -> dict[str, Any]:
    """A raster of 64 million pixels, the second time that a cluster makes it."""
    import numpy as np
    import rasterio

    network = write_network(folder / "network", channels=64, slide={"crop": [1024, 1024], "stride": [768, 768]})
    package, path = segship.export(network, folder / "package").path, write_raster(folder / "a.tif", (_SIDE, _SIDE))
    with segship.Segmentor(package, threads=1) as segmentor, segmentor.scene(path) as scene:
        alone = write_scene(scene, folder / "alone", "a", SceneForm(), {})
        with connected("local", "This") as ray:
            cluster = Cluster(ray, segmentor)
            told = [write_scene(scene, folder / "ray", "a", SceneForm(), {}, share=cluster.blocks) for _ in range(2)][1]
    with rasterio.open(folder / "alone" / "a.tif") as one, rasterio.open(folder / "ray" / "a.tif") as other:
        differ = int(np.count_nonzero(one.read() != other.read()))
    names = ("seconds", "windows_run")
    return {"alone": [alone[name] for name in names], "shared": [told[name] for name in names], "differ": differ}


def measure_node(folder: Path) -> dict[str, Any]:
    """Images on two nodes of one processor each; the second one is killed when a third of the masks are there."""
    package, photos = _package(folder), _photos(folder / "photos", _IMAGES)
    cluster_utils = __import__("ray.cluster_utils", fromlist=["Cluster"])
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    killed = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    was = list[int]()

    def kill() -> None:
        while sum(1 for _ in (folder / "out").glob("*.png")) < _IMAGES // 3:
            time.sleep(0.05)
        was.append(sum(1 for _ in (folder / "out").glob("*.png")))
        nodes.remove_node(killed, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    with segship.Segmentor(package) as segmentor:
        found = predict_files(segmentor, photos, folder / "out", _FORM, ray=nodes.address)
        thread.join()
        plain = predict_files(segmentor, photos, folder / "plain", _FORM)
    nodes.shutdown()
    names = [json.loads(line)["name"] for line in (folder / "out" / "index.jsonl").read_text().splitlines()]
    masks = [(folder / run / f"{photo.stem}.png").read_bytes() for photo in photos for run in ("out", "plain")]
    return {
        "images": len(photos),
        "there_at_the_kill": was[0],
        "failed": len(found.failed),
        "lines": len(names),
        "named": len(set(names)),
        "differ": sum(one != other for one, other in zip(masks[::2], masks[1::2], strict=True)),
        "failed_plain": len(plain.failed),
    }


class Clients:
    """Eight threads that ask for the same mask until they are told to stop."""

    def __init__(self, port: int) -> None:
        self._image, self._ended = (DEMO / "images" / "scene_01.jpg").read_bytes(), threading.Event()
        self._asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/models/model/segment", self._image, {"Content-Type": "image/jpeg"}
        )
        self.right = self.others = 0
        self._expected = self._mask()

    def _mask(self) -> bytes:
        with urllib.request.urlopen(self._asked, timeout=60) as reply:  # noqa: S310
            return bytes(reply.read())

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.right += self._mask() == self._expected
            except OSError:
                self.others += 1

    def start(self) -> None:
        """Begin."""
        for _ in range(8):
            threading.Thread(target=self._ask).start()

    def stop(self) -> None:
        """End."""
        self._ended.set()


def measure_replicas(folder: Path) -> dict[str, Any]:
    """How many there are: ten quiet seconds, forty with eight clients, then quiet again."""
    package = _package(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "segship", "serve", f"model={package}", "--ray", "local", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        while "listening" not in process.stdout.readline():
            pass
        clients, counts = Clients(port), [(0, _replicas())]
        clock = [(threading.Timer(10, clients.start)), threading.Timer(50, clients.stop)]
        begin = time.monotonic()
        for timer in clock:
            timer.start()
        while (now := time.monotonic() - begin) < _WATCHED:
            if (found := _replicas()) != counts[-1][1]:
                counts.append((round(now), found))
            time.sleep(1)
        process.send_signal(signal.SIGTERM)
    return {"seconds_and_replicas": counts, "right": clients.right, "others": clients.others}


def _replicas() -> int:
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += b"ray::ServeReplica" in path.read_bytes()
    return found


_PARTS = {
    "efficiency": measure_efficiency,
    "raster": measure_raster,
    "node": measure_node,
    "replicas": measure_replicas,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for part in parser.parse_args().parts or _PARTS:
        with tempfile.TemporaryDirectory() as folder:
            print(part, json.dumps(_PARTS[part](Path(folder))), flush=True)


if __name__ == "__main__":
    main()
